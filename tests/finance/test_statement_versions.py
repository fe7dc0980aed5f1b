"""Statements of every close of a month: what an earlier one stated is issued again as it was, and what was known at it is a moment."""

import json
import subprocess
import sys
from datetime import datetime
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from tests.statement_months import SEPTEMBER, charge, close, month_of, post, reopen
from tests.workspaces import quiet
from tollbook.cli import app
from tollbook.errors import TollbookError
from tollbook.finance import as_of, disputes, freeze, ledger, moments, periods, restatement, statements, trial_balance

KILLED = """
import os, sys
from datetime import date
from pathlib import Path
from tollbook.finance.statements import issuing
from tollbook.workspace import Workspace
issuing._write = lambda *_: os._exit(9)
issuing.issue_draft(Workspace.open(Path(sys.argv[1])), date(2026, 9, 1))
"""


def issue(workspace, version=None, **options):
    return {
        one.recipient: one
        for one in statements.issue_closed(workspace, SEPTEMBER, version=version, **{"tell": quiet, "pdf": False} | options)
    }


def bytes_of(issued):
    return {file: file.read_bytes() for one in issued.values() for file in one.files}


def recorded(workspace):
    with workspace.connect() as db:
        return [db.execute(f"from ledger.{table} order by all").fetchall() for table in ("statements", "statement_lines", "period_events")]


@pytest.fixture
def month(tmp_path):
    """A month of two cost centres and a tenant."""
    charges = [charge("100.335", component="gpu", tenant="acme"), charge("0.005"), charge("50.111", team="b", cost_centre="CC-B")]
    return month_of(tmp_path, charges)


def close_twice(month, pdf=False):
    """Close the month and issue it, reopen it, post in it, close and issue it once more; what was issued first, and as files."""
    close(month)
    first = issue(month, pdf=pdf)
    sent = bytes_of(first)
    reopen(month)
    post(month, [charge("-20.335", component="gpu", tenant="acme"), charge("9", team="c", cost_centre="CC-C")])
    close(month)
    issue(month, pdf=pdf)
    return month, first, sent


@pytest.fixture
def twice(month):
    """The month after ``close_twice``, without PDFs."""
    return close_twice(month)


def test_what_the_first_close_stated_is_issued_again_to_the_byte(month):
    _, first, sent = close_twice(month, pdf=True)
    before, newest = recorded(month), {file: file.read_bytes() for file in (month.statements / "2026-09-2").iterdir()}
    again = issue(month, 1, out=month.root / "auditor", pdf=True)
    assert {file.name: content for file, content in bytes_of(again).items()} == {file.name: content for file, content in sent.items()}
    assert len(sent) == 6 and all(file.is_relative_to(month.root / "auditor") for file in bytes_of(again))
    assert {name: (one.statement_id, one.content_hash) for name, one in again.items()} == {
        name: (one.statement_id, one.content_hash) for name, one in first.items()
    }
    # where they stood, too, whether they are there still or not; nothing is recorded, and the newest stay
    for file in list(sent)[::2]:
        file.unlink()
    assert bytes_of(issue(month, 1, pdf=True)) == sent
    assert recorded(month) == before
    assert {file: file.read_bytes() for file in (month.statements / "2026-09-2").iterdir()} == newest


def test_the_newest_stays_the_newest(twice):
    month, first, _ = twice
    newest, by_number = issue(month), issue(month, 2)
    assert {name: one.statement_id for name, one in newest.items()} == {name: one.statement_id for name, one in by_number.items()}
    assert first["CC-A"].stated_amount - newest["CC-A"].stated_amount == Decimal("20.33")
    assert all(file.parent.name == "2026-09-2" for one in by_number.values() for file in one.files)


def test_a_reopened_month_is_issued_again_by_its_versions_alone(twice):
    month, _, sent = twice
    reopen(month)
    with pytest.raises(TollbookError, match=r"2026-09 is not closed.* What was issued before, --version issues again"):
        issue(month)
    assert bytes_of(issue(month, 1)) == sent
    assert issue(month, 2)["CC-C"].statement_id == "2026-09/CC-C/2"


def test_a_version_that_is_not_there_is_refused_with_those_there_are(twice):
    month, _, _ = twice
    with month.connect() as db:
        first, second = (f"{one.recorded_at:%Y-%m-%d %H:%M} UTC" for one in periods.closes(db, SEPTEMBER))
    with pytest.raises(TollbookError) as refused:
        issue(month, 3)
    assert str(refused.value) == (
        f"there is no version 3 of the statements of 2026-09. There are: 1 (closed {first}), 2 (closed {second})."
    )
    with pytest.raises(TollbookError, match="2026-10 was never closed, so no statements of it were issued"):
        statements.issue_closed(month, SEPTEMBER.replace(month=10), version=1)


def test_what_is_kept_must_be_what_that_close_recorded(twice):
    month, _, sent = twice
    for name in ("manifest.json", "postings.parquet"):
        kept = month.closed / "2026-09" / name
        content = kept.read_bytes()
        kept.write_bytes((month.closed / "2026-09-2" / name).read_bytes())
        with pytest.raises(TollbookError, match=r"2026-09 (is not what the month was closed with|was changed since it was written)"):
            issue(month, 1)
        kept.write_bytes(content)
    assert bytes_of(issue(month, 1)) == sent


def test_the_opening_balance_is_no_close_that_can_be_stated(month):
    with month.connect() as db:
        periods.record(db, SEPTEMBER, "closed", ledger.next_moment(db), "controller", "opening balance")
    for version in (None, 1):
        with pytest.raises(TollbookError, match="2026-09 was settled before the ledger began: nothing was frozen"):
            issue(month, version)
    with month.connect(read_only=True) as db, pytest.raises(TollbookError, match="no close:2026-09/1; there are: close:2026-09"):
        moments.parse(db, "close:2026-09/1")
    # the close after it is the first, and so are its statements
    reopen(month)
    assert close(month).name == "2026-09"
    assert {one.statement_id for one in issue(month).values()} == {"2026-09/CC-A/1", "2026-09/CC-B/1", "2026-09/tenant:acme/1"}


def test_a_statement_has_the_number_of_its_close_but_keeps_the_one_it_was_issued_with(twice):
    month, _, _ = twice
    assert issue(month)["CC-C"].statement_id == "2026-09/CC-C/2"
    with month.connect() as db:
        # as earlier versions numbered who was new in the second close
        for table in ("statements", "statement_lines"):
            db.execute(f"update ledger.{table} set statement_id = '2026-09/CC-C/1' where statement_id = '2026-09/CC-C/2'")
        db.execute("update ledger.statements set version = 1 where statement_id = '2026-09/CC-C/1'")
    assert issue(month, 2)["CC-C"].statement_id == "2026-09/CC-C/1"
    assert set(issue(month, 1)) == {"CC-A", "CC-B", "acme"}
    reopen(month)
    post(month, [charge("1", team="c", cost_centre="CC-C")])
    close(month)
    assert {one.version for one in issue(month).values()} == {3}


def test_only_what_was_issued_is_issued_again(month):
    close(month)
    with pytest.raises(TollbookError, match=r"never issued, so not issued again: 2026-09/CC-A/1, 2026-09/CC-B/1, 2026-09/tenant:acme/1"):
        issue(month, 1)
    issue(month, recipients=["CC-B"])
    before = recorded(month)
    assert set(issue(month, 1)) == {"CC-B"}
    with pytest.raises(TollbookError, match="never issued, so not issued again: 2026-09/CC-A/1"):
        issue(month, 1, recipients=["CC-A", "CC-B"])
    assert recorded(month) == before


def test_disputes_are_those_of_when_it_was_issued(twice):
    month, _, sent = twice
    said = {"by": "a", "note": "not ours", "tell": quiet}
    disputes.raise_dispute(month, "2026-09/CC-A/2", 1, **said)
    reopen(month)
    close(month)
    third = bytes_of(issue(month))
    disputes.follow(month, "D-1", "rejected", **said)
    disputes.raise_dispute(month, "2026-09/CC-B/3", 1, **said)
    assert bytes_of(issue(month, 1)) == sent
    assert [row["dispute_id"] for row in issue(month, 3)["CC-A"].disputes] == ["D-1"]
    assert bytes_of(issue(month, 3)) == third
    assert {name: [row["dispute_id"] for row in one.disputes] for name, one in issue(month).items() if one.disputes} == {"CC-B": ["D-2"]}


def test_a_file_that_says_it_otherwise_is_not_replaced(twice):
    month, _, sent = twice
    month.config.mkdir(exist_ok=True)
    (month.config / "recipients.csv").write_text("recipient_kind,recipient,name,valid_from,valid_to\ncost_centre,CC-A,Renamed,,\n")
    with pytest.raises(TollbookError, match=r"nothing was written: .*2026-09_CC-A_v1\.xlsx is not what would be written now"):
        issue(month, 1)
    assert {file: file.read_bytes() for file in sent} == sent
    elsewhere = issue(month, 1, out=month.root / "elsewhere")
    assert {file.name for file in bytes_of(elsewhere)} == {file.name for file in sent}
    with pytest.raises(TollbookError, match=r"nothing was written: .*2026-09 keeps the statements"):
        issue(month, 1, locale="de_DE")
    assert issue(month, 1, out=month.root / "german", locale="de_DE")["CC-A"].locale == "de_DE"


def test_the_command_takes_a_version_and_no_draft_with_it(twice):
    month, _, _ = twice
    place = ["-w", str(month.root), "--no-pdf"]
    done = CliRunner().invoke(app, ["statements", "2026-09", "--version", "1", "--out", str(month.root / "here"), *place])
    assert done.exit_code == 0, done.output
    assert "150.45 USD charged; 3 statements" in done.output and "2026-09/CC-B/1" in done.output
    assert sorted(file.name for file in (month.root / "here").iterdir()) == [
        "2026-09_CC-A_v1.xlsx", "2026-09_CC-B_v1.xlsx", "2026-09_tenant_acme_v1.xlsx",
    ]  # fmt: skip
    for options, why in ((["--version", "1", "--draft"], "--draft of what was not"), (["--version", "7"], "There are: 1 (closed")):
        refused = CliRunner().invoke(app, ["statements", "2026-09", *options, *place])
        assert refused.exit_code == 1 and why in str(refused.exception)


def test_each_close_is_a_moment(twice):
    month, _, _ = twice
    with month.connect() as db:
        first, second = (one.recorded_at for one in periods.closes(db, SEPTEMBER))
        said = {name: moments.parse(db, name) for name in ("close:2026-09/1", "close:2026-09/2", "close:2026-09")}
        assert [one.at for one in said.values()] == [first, second, second] and first < second
        assert str(said["close:2026-09/1"]).endswith("UTC (close:2026-09/1)")
        for number in (0, 3):
            with pytest.raises(TollbookError, match=f"no close:2026-09/{number}; there are: close:2026-09/1, close:2026-09/2"):
                moments.parse(db, f"close:2026-09/{number}")
        with pytest.raises(TollbookError, match="`close:2026-09/` is no moment"):
            moments.parse(db, "close:2026-09/")
        with pytest.raises(TollbookError, match="2026-08 was never closed; these were: 2026-09"):
            moments.parse(db, "close:2026-08/1")
        known = {
            name: {row["team"]: row["charged_cost"] for row in as_of.chargeback(db, moment, period=SEPTEMBER)}
            for name, moment in said.items()
        }
        assert known["close:2026-09/1"] == {"a": Decimal("100.34"), "b": Decimal("50.111")}
        assert known["close:2026-09/2"] == known["close:2026-09"] == {"a": Decimal("80.005"), "b": Decimal("50.111"), "c": Decimal(9)}
        costs = [
            sum(row["balance_cost"] for row in trial_balance.balances(db, one.at, SEPTEMBER) if row["account"] == "cost")
            for one in said.values()
        ]
        assert costs == [Decimal("150.451"), Decimal("139.116"), Decimal("139.116")]
        between = restatement.restate(db, said["close:2026-09/1"], said["close:2026-09/2"], SEPTEMBER)
        assert sum(line["known_after"] - line["known_before"] for line in between.lines) == Decimal("-11.335")
        events = [(row["event"], row["close_number"]) for row in moments.recorded(db)]
        cells = [cell for row in moments.table(moments.recorded(db)).rows for cell in row.cells]
    assert events == [("posted", None), ("closed", 1), ("reopened", None), ("posted", None), ("closed", 2)]
    assert [cell for cell in cells if "close:" in cell] == ["2026-09 closed (close:2026-09/1)", "2026-09 closed (close:2026-09/2)"]


def test_what_a_killed_draft_left_is_swept_by_the_next_run(month):
    with month.connect() as db:
        db.execute("insert into meta.build_state values ('2026-10-01', '2026-10-01', 'rules', 'models')")
        db.execute("insert into ledger.runs by name select 'night' as run_id, ? as recorded_at, built_at from meta.build_state",
                   [datetime(2026, 10, 1)])  # fmt: skip
    others = month.temp / "simulate-x"
    others.mkdir(parents=True)

    def kill():
        assert subprocess.run([sys.executable, "-c", KILLED, str(month.root)], timeout=120).returncode == 9
        (left,) = [folder for folder in month.temp.iterdir() if folder != others]
        assert (left / "month" / freeze.MANIFEST).is_file()

    kill()
    statements.issue_draft(month, SEPTEMBER, tell=quiet, pdf=False)
    assert list(month.temp.iterdir()) == [others]
    kill()
    close(month)
    issue(month)
    assert list(month.temp.iterdir()) == [others]


def test_a_month_frozen_before_minor_units_were_kept_is_issued_again_as_it_was(month):
    folder = close(month)
    manifest = json.loads((folder / freeze.MANIFEST).read_text())
    assert manifest.pop("minor_units") == 2
    with_units = {name: one.content_hash for name, one in issue(month).items()}
    (folder / freeze.MANIFEST).write_text(json.dumps(manifest))
    with month.connect() as db:
        db.execute("update ledger.period_events set content_hash = ?", [freeze.content_hash(folder)])
    assert {name: one.content_hash for name, one in issue(month, 1).items()} == with_units
