"""What is kept of closed months is what they were closed with, and nothing that somebody still needs is replaced."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests import scratch_ledgers as ledgers
from tests.workspaces import quiet, write_workspace
from tollbook.errors import BusyError, TollbookError
from tollbook.finance import close, freeze, ledger, periods
from tollbook.warehouse import state

SETTINGS = "currency: USD\nsources: []\n"
READER = "import duckdb, sys; db = duckdb.connect(sys.argv[1], read_only=True); print('reads', flush=True); sys.stdin.read()"


def keep(folder: Path, said: str, known_at: str = "2026-10-05T00:00:00") -> str:
    """A folder as a close leaves it, of one file; its hash."""
    folder.mkdir(parents=True)
    (folder / "postings.parquet").write_text(said)
    manifest = {
        "period": "2026-09",
        "known_at": known_at,
        "files": {"postings.parquet": {"rows": 1, "sha256": freeze._hash(folder / "postings.parquet")}},
    }
    (folder / freeze.MANIFEST).write_text(json.dumps(manifest))
    return freeze.content_hash(folder)


def test_a_manifest_that_was_written_anew_beside_other_files_is_not_what_was_closed(tmp_path):
    closed_with = keep(tmp_path / "2026-09", "what CC-100 owes")
    assert freeze.manifest_of(tmp_path / "2026-09", closed_with)["period"] == "2026-09"
    (tmp_path / "2026-09").rename(tmp_path / "before")
    keep(tmp_path / "2026-09", "what CC-200 owes")
    # by itself it is whole
    assert freeze.manifest_of(tmp_path / "2026-09")["period"] == "2026-09"
    with pytest.raises(TollbookError, match="not what the month was closed with"):
        freeze.manifest_of(tmp_path / "2026-09", closed_with)


@pytest.fixture
def closed(tmp_path):
    """A workspace whose ledger knows of a closed month."""
    workspace = write_workspace(tmp_path / "here", SETTINGS)
    content_hash = keep(workspace.closed / "2026-09", "what was frozen")
    with ledgers.write(workspace.warehouse) as db:
        ledgers.charge(db, "2026-09-03", "red", 7)
        ledgers.build(db)
        ledger.post(db, "night")
        moment = ledger.next_moment(db)
        periods.record(db, date(2026, 9, 1), "closed", moment, "A. Person", "", content_hash, "2026-09")
    return workspace


def test_a_backup_tells_of_a_closed_month_that_is_not_whole(closed, tmp_path):
    told = []
    state.backup(closed, tmp_path / "whole.tar", told.append)
    assert told == []
    (closed.closed / "2026-09" / "postings.parquet").unlink()
    state.backup(closed, tmp_path / "less.tar", told.append)
    assert len(told) == 1 and "postings.parquet" in told[0]


def test_a_restore_that_cannot_move_a_part_leaves_all_parts_as_they_were(closed, tmp_path, monkeypatch):
    state.backup(closed, tmp_path / "kept.tar", quiet)
    (closed.root / "tollbook.yml").write_text("currency: EUR\nsources: []\n")
    rename = Path.rename

    def refuse(self, target):
        if self == closed.closed:
            raise OSError("Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(TollbookError, match=r"resource busy.*Nothing was changed"):
        state.restore(closed.root, tmp_path / "kept.tar")
    assert (closed.root / "tollbook.yml").read_text().startswith("currency: EUR")
    assert (closed.closed / "2026-09" / "postings.parquet").is_file() and closed.warehouse.is_file()
    assert not list(closed.root.glob(".restore-*"))


def test_a_ledger_that_was_emptied_is_behind_on_every_day(closed):
    with closed.connect() as db:
        before = db.execute("select sum(posted_cost) filter (bucket is not null) from ledger.postings").fetchone()
        for table in ("postings", "runs", "period_events"):
            db.execute(f"delete from ledger.{table}")
        assert db.execute("select count(*) from meta.unposted_days").fetchone() == (0,)
        ledger.post(db, "again")
        assert db.execute("select sum(posted_cost) filter (bucket is not null) from ledger.postings").fetchone() == before == (7,)


def test_what_was_posted_after_a_close_was_proposed_was_not_approved(closed):
    october = date(2026, 10, 1)
    with ledgers.connect(closed.warehouse) as db:
        ledgers.charge(db, "2026-10-03", "red", 5)
        ledgers.build(db)
        ledger.post(db, "proposed on")
    proposed_at = close.newest_posting(closed, october)
    with ledgers.connect(closed.warehouse) as db:
        ledgers.charge(db, "2026-10-04", "red", 5)
        ledgers.build(db)
        ledger.post(db, "the night after")
    with pytest.raises(TollbookError, match="posted in since its close was proposed"):
        close.close(closed, october, "A. Person", tell=quiet, proposed_at=proposed_at)
    assert close.newest_posting(closed, october) > proposed_at


@pytest.mark.parametrize(
    ("known_at", "is_stated", "is_kept"),
    [
        # before this ledger began: one that was lost closed the month
        ("2020-01-01T00:00:00", False, True),
        # statements were sent: it was a whole close, whatever the ledger says
        ("2099-01-01T00:00:00", True, True),
        # a close of this ledger that was killed
        ("2099-01-01T00:00:00", False, False),
    ],
)
def test_what_a_ledger_that_was_lost_had_closed_a_month_with_is_kept_aside(closed, known_at, is_stated, is_kept):
    content_hash, told = keep(closed.closed / "2026-10", "what CC-100 owes", known_at), []
    if is_stated:
        (closed.statements / "2026-10").mkdir(parents=True)
    with closed.connect() as db:
        close._make_room(db, closed, closed.closed / "2026-10", told.append)
        close._make_room(db, closed, closed.closed / "2026-11", told.append)
    aside = closed.closed / f"2026-10.unknown-{content_hash[:12]}"
    assert sorted(path.name for path in closed.closed.iterdir()) == ["2026-09", *([aside.name] if is_kept else [])]
    assert [aside.name in line for line in told] == [True] * is_kept


@pytest.fixture
def reader(closed):
    """Another process that reads the warehouse until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(closed.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "reads\n"
    yield process
    process.kill()
    process.wait()


def test_who_writes_waits_for_a_reader(closed, reader, monkeypatch):
    refused = []
    connect = duckdb.connect

    def watched(*arguments, **options):
        try:
            return connect(*arguments, **options)
        except duckdb.IOException:
            # it has met the reader: now that may end
            refused.append(True)
            reader.kill()
            reader.wait()
            raise

    monkeypatch.setattr(duckdb, "connect", watched)
    with closed.connect() as db:
        assert db.execute("select count(*) from ledger.period_events").fetchone() == (1,)
    assert refused == [True]


def test_who_waited_long_enough_is_told(closed, reader, monkeypatch):
    monkeypatch.setattr("tollbook.workspace._LONGEST_READ", 0)
    with pytest.raises(BusyError, match="another process has"):
        closed.connect()
