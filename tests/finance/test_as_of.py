"""Chargeback as of any moment: what was known then, whatever was posted since."""

import csv
import io
import json
import subprocess
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from tests.ledgers import MARTS, OCTOBER, SEPTEMBER, TEAMS, charge, close, drawn_ledger, line, marts, marts_now, night, post, scratch
from tests.workspaces import write_workspace
from tollbook import cli
from tollbook.errors import TollbookError
from tollbook.finance import as_of, moments
from tollbook.warehouse import lock, publication
from tollbook.workspace import STORAGE_VERSION

REPO = Path(__file__).resolve().parents[2]


def by_team(db, moment="now", **said):
    """Cost by month and team."""
    found = as_of.chargeback(db, moments.parse(db, str(moment)), **said)
    month = "accounting_period" if said.get("accounting") else "usage_period"
    return {(row[month], row["team"]): row["charged_cost"] for row in found}


@pytest.fixture
def known():
    """Two nights of September, its close, a correction; the moment of each posting."""
    db = scratch(TEAMS)
    first = night(db, "n1", [charge("100", date(2026, 9, 7), "research"), charge("40.5", date(2026, 9, 7), "search")]).recorded_at
    second = night(
        db,
        "n2",
        [
            charge("100", date(2026, 9, 7), "research"),
            charge("40.5", date(2026, 9, 7), "search"),
            charge("7", date(2026, 9, 8), "research", tenant="acme"),
        ],
    ).recorded_at
    closed = close(db, SEPTEMBER)
    third = night(
        db,
        "n3",
        [
            charge("70", date(2026, 9, 7), "research"),
            charge("70.5", date(2026, 9, 7), "search"),
            charge("7", date(2026, 9, 8), "research", tenant="acme"),
            charge("2", date(2026, 10, 1), "ops"),
        ],
    ).recorded_at
    return db, first, second, closed, third


def test_a_month_is_what_it_was_known_to_be(known):
    db, first, second, closed, third = known
    early = {(SEPTEMBER, "research"): Decimal(100), (SEPTEMBER, "search"): Decimal("40.5")}
    at_close = early | {(SEPTEMBER, "research"): Decimal(107)}
    late = {(SEPTEMBER, "research"): Decimal(77), (SEPTEMBER, "search"): Decimal("70.5"), (OCTOBER, "ops"): Decimal(2)}
    assert by_team(db, first - timedelta(microseconds=1)) == {}
    assert by_team(db, first) == by_team(db, second - timedelta(microseconds=1)) == early
    assert by_team(db, second) == by_team(db, closed) == by_team(db, "close:2026-09") == at_close
    assert by_team(db, third) == by_team(db) == late
    assert by_team(db, third, period=OCTOBER) == {(OCTOBER, "ops"): Decimal(2)}


def test_by_the_month_it_was_posted_in_a_correction_is_of_the_next(known):
    db, *_ = known
    assert by_team(db, accounting=True) == {
        (SEPTEMBER, "research"): Decimal(107),
        (SEPTEMBER, "search"): Decimal("40.5"),
        (OCTOBER, "research"): Decimal(-30),
        (OCTOBER, "search"): Decimal(30),
        (OCTOBER, "ops"): Decimal(2),
    }
    assert by_team(db, "close:2026-09", accounting=True, period=OCTOBER) == {}


def test_other_payers(known):
    db, *_ = known
    now = moments.now(db)
    seen = {by: [tuple(row.values()) for row in as_of.chargeback(db, now, by, SEPTEMBER)] for by in as_of.DIMENSIONS}
    assert seen["cost_centre"] == [
        (SEPTEMBER, "CC-100", "allocated", Decimal(77), "USD"),
        (SEPTEMBER, "CC-200", "allocated", Decimal("70.5"), "USD"),
    ]
    assert seen["bucket"] == [(SEPTEMBER, "allocated", Decimal("147.5"), "USD")]
    assert seen["component"] == [(SEPTEMBER, "gpu", Decimal("147.5"), "USD")]
    assert seen["tenant"] == [(SEPTEMBER, None, Decimal("140.5"), "USD"), (SEPTEMBER, "acme", Decimal(7), "USD")]


def test_what_no_team_pays_for_comes_last():
    db = scratch(TEAMS)
    idle = line("900", date(2026, 9, 7), team="idle", bucket="idle", component="gpu")
    night(db, "n1", [idle, charge("1", date(2026, 9, 7), "ops")])
    assert [row["team"] for row in as_of.chargeback(db, moments.now(db))] == ["ops", "idle"]


def test_how_a_moment_is_written(known):
    db, first, _, closed, _ = known
    assert moments.parse(db, "2026-10-05T12:00").at == datetime(2026, 10, 5, 12)
    assert moments.parse(db, "2026-10-05T12:00Z").at == datetime(2026, 10, 5, 12)
    assert moments.parse(db, "2026-10-05 12:00:30.5+02:00").at == datetime(2026, 10, 5, 10, 0, 30, 500000)
    assert moments.parse(db, " 2026-10-05 ").at == datetime(2026, 10, 5)
    assert moments.parse(db, "close:2026-09").at == closed
    assert moments.parse(db, "now").at > closed
    assert moments.parse(db, "9999-01-01").is_ahead
    assert not moments.parse(db, str(first)).is_ahead


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "yesterday",
            "`yesterday` is no moment: write 2026-10-05T12:00 .UTC., 2026-10-05, close:2026-09 .the last close., close:2026-09/1",
        ),
        ("close:2026-13", "`2026-13` is no month"),
        ("close:2026-08", "2026-08 was never closed; these were: 2026-09"),
    ],
)
def test_a_moment_that_is_none(known, said, why):
    with pytest.raises(TollbookError, match=why):
        moments.parse(known[0], said)


def test_what_was_recorded(known):
    db, first, second, closed, third = known
    found = moments.recorded(db)
    assert [(row["recorded_at"], row["event"], row["run_id"], row["posted_cost"]) for row in found] == [
        (first, "posted", "n1", Decimal("140.5")),
        (second, "posted", "n2", Decimal(7)),
        (closed, "closed", None, None),
        (third, "posted", "n3", Decimal(2)),
    ]
    assert found[3]["by_reason"] == {"correction": Decimal(0), "usage": Decimal(2)}
    assert found[3]["posted_in"] == "2026-10"
    post(db, "n4")
    assert moments.recorded(db) == found, "a run that posted nothing is no moment"


@pytest.fixture(scope="module", params=[1, 2])
def published(request, tmp_path_factory):
    """The file as it is published, and what the marts said after each night."""
    folder = tmp_path_factory.mktemp("published")
    db, seen = drawn_ledger(request.param)
    db.execute(f"attach '{folder / 'tollbook.duckdb'}' as published (storage_version '{STORAGE_VERSION}')")
    db.execute("create schema published.finance")
    for name in MARTS:
        db.execute(f"create table published.finance.{name} as from finance.{name}")
    as_of.create_macros(db, "published")
    assert db.execute("select current_catalog()").fetchone() == ("memory",)
    db.execute("detach published")
    with duckdb.connect(str(folder / "tollbook.duckdb"), read_only=True) as reader:
        yield reader, seen, db, folder


def test_at_each_moment_the_file_says_what_the_marts_said_then(published):
    reader, seen, *_ = published
    assert len({str(said) for _, said in seen}) > 10, "the nights differ"
    for moment, said in seen:
        for name, rows in said.items():
            assert marts_now(reader, f"finance.{name.removeprefix('fct_')}_as_of('{moment}')") == rows, moment
    assert marts_now(reader, "finance.chargeback_as_of('2020-01-01')") == []


def test_the_command_says_the_same(published):
    _, seen, db, _ = published
    for moment, said in seen:
        expected = {}
        for row in said["fct_chargeback"]:
            expected[row[0], row[4]] = expected.get((row[0], row[4]), 0) + row[-2]
        assert by_team(db, moment) == {key: cost for key, cost in expected.items() if cost}


def test_columns_are_those_of_the_marts(published):
    reader, *_ = published
    for name in MARTS:
        macro = f"finance.{name.removeprefix('fct_')}_as_of(now()::timestamp)"
        described = [reader.execute(f"describe from {what}").fetchall() for what in (macro, f"finance.{name}")]
        assert described[0] == described[1]


def test_the_trial_balance_is_zero_at_each_moment(published):
    reader, seen, *_ = published
    for moment, _ in seen:
        debit, credit, balance = reader.execute(
            "select sum(debit_cost), sum(credit_cost), sum(balance_cost) from finance.trial_balance_as_of(?)", [moment]
        ).fetchone()
        assert (debit or 0) == (credit or 0) and not balance
    assert debit > 0


def test_a_client_of_the_storage_version_reads_it(published):
    _, seen, _, folder = published
    python = REPO / ".focus-validator/bin/python"
    if not python.exists():
        pytest.skip("no older DuckDB here: `make focus-validator` brings one")
    moment, said = seen[12]
    asked = (
        "import duckdb, sys; assert duckdb.__version__ < '2', duckdb.__version__\n"
        "print(duckdb.connect(sys.argv[1], read_only=True).execute('from finance.chargeback_as_of(?) order by all', [sys.argv[2]]).fetchall())"
    )
    file = str(folder / "tollbook.duckdb")
    found = subprocess.run([python, "-c", asked, file, str(moment)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(said["fct_chargeback"])


@pytest.fixture
def books(tmp_path):
    """A workspace whose ledger was posted to by hand."""
    workspace = write_workspace(tmp_path, "currency: USD\nsources: []\n")
    db = scratch(TEAMS, workspace.warehouse)
    night(db, "n1", [charge("100.006", date(2026, 9, 7), "research"), charge("40", date(2026, 9, 8), "search")])
    close(db, SEPTEMBER)
    night(db, "n2", [charge("90", date(2026, 9, 7), "research"), charge("40", date(2026, 9, 8), "search")])
    db.close()
    return workspace


def run(workspace, *words):
    return CliRunner().invoke(cli.app, [*words, "-w", str(workspace.root)], catch_exceptions=False)


def test_the_command_line(books):
    shown = run(books, "chargeback", "--period", "2026-09", "--as-of", "close:2026-09").output
    assert "(close:2026-09) (USD)" in shown
    assert [line.split() for line in shown.splitlines() if "2026-09  " in line] == [
        ["2026-09", "research", "100.01"],
        ["2026-09", "search", "40.00"],
    ]
    rows = list(csv.DictReader(io.StringIO(run(books, "chargeback", "--format", "csv").output)))
    assert [(row["usage_period"], row["team"], row["charged_cost"]) for row in rows] == [
        ("2026-09-01", "research", "90.000000000000"),
        ("2026-09-01", "search", "40.000000000000"),
    ]
    said = json.loads(run(books, "chargeback", "--accounting", "--by", "bucket", "--format", "json").output)
    assert [(row["accounting_period"], row["charged_cost"]) for row in said["rows"]] == [
        ("2026-09-01", "140.006000000000"),
        ("2026-10-01", "-10.006000000000"),
    ]
    listed = json.loads(run(books, "ledger", "runs", "--format", "json").output)
    assert [row["event"] for row in listed] == ["posted", "closed", "posted"]
    nothing = run(books, "chargeback", "--as-of", listed[0]["recorded_at"][:10])
    assert "Nothing was charged as known at" in nothing.output


def test_a_ledger_that_cannot_be_asked(tmp_path, books):
    fresh = write_workspace(tmp_path / "fresh", "currency: USD\nsources: []\n")
    with pytest.raises(TollbookError, match=r"nothing is loaded in .*fresh yet"), lock.reading(fresh):
        pass
    with fresh.connect() as db:
        db.execute("create schema ledger")
    with pytest.raises(TollbookError, match="an earlier version of Tollbook made"), lock.reading(fresh):
        pass
    # another process that writes
    held = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('here', flush=True); sys.stdin.read()"
    words = [str(REPO / ".venv/bin/python"), "-c", held, str(books.warehouse)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "here\n"
        with pytest.raises(TollbookError, match=r"is writing to .* just now; ask again when it is done"), lock.reading(books):
            pass
        writer.communicate()


def test_publishing_makes_the_macros(books, monkeypatch):
    monkeypatch.setattr(publication, "audit_of", lambda _: ("audit", 0))
    monkeypatch.setattr(publication, "_write_report", lambda _: None)
    with books.connect() as db:
        marts(db, *MARTS)
        db.execute("create schema quality; create table quality.fct_bridge as select 1 as number")
    publication.publish(books, lambda _: None)
    with publication.connect(books) as db, lock.reading(books) as warehouse:
        at_close = moments.parse(warehouse, "close:2026-09").at
        total = "select sum(charged_cost) from finance.chargeback_as_of(?)"
        assert db.execute(total, [at_close]).fetchone() == (Decimal("140.006"),)
        assert db.execute(total, [datetime(9999, 1, 1)]).fetchone() == (Decimal(130),)
