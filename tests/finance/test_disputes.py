"""Disputes of lines of statements: what may be said when, and that no dispute moves money."""

import json
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from tests.ledgers import SEPTEMBER, close, delivery, line, marts, night, scratch
from tests.workspaces import quiet, write_workspace
from tollbook import cli
from tollbook.errors import TollbookError
from tollbook.finance import disputes, moments, restatement
from tollbook.report import restatement as report

DAY = date(2026, 9, 7)
STATEMENT = "2026-09/CC-100/1"


def gpu(cost, team="research", cost_centre="CC-100", **said):
    return line(cost, DAY, team=team, cost_centre=cost_centre, component="gpu", gpu_model="H100", **said)


def issue(db, statement_id, recipient, lines, kind="cost_centre"):
    """A statement as it is issued: section, component, GPU model and amount of each line."""
    version = int(statement_id.rpartition("/")[2])
    db.execute(
        "insert into ledger.statements by name select ? as statement_id, ?::date as accounting_period, ? as version, ? as recipient_kind,"
        " ? as recipient, 'chargeback' as mode, now()::timestamp as issued_at, 'USD' as currency_code",
        [statement_id, SEPTEMBER, version, kind, recipient],
    )
    for number, (section, component, gpu_model, cost) in enumerate(lines, start=1):
        db.execute(
            "insert into ledger.statement_lines by name select ? as statement_id, ? as line_number, ? as section, ?::date as usage_period,"
            " 'Nimbus' as billed_by, ? as component, ? as gpu_model, ?::decimal(38, 2) as stated_amount, 'USD' as currency_code",
            [statement_id, number, section, SEPTEMBER, component, gpu_model, cost],
        )


@pytest.fixture
def books(tmp_path):
    """A workspace that stated September: 100.00 of GPUs and 5.00 of credit to CC-100, 40.00 to CC-200."""
    workspace = write_workspace(tmp_path, "currency: USD\nsources: []\n")
    with scratch(file=workspace.warehouse) as db:
        credit = line("-5", DAY, team="research", cost_centre="CC-100", component="Credit")
        night(db, "september", [gpu("100"), credit, gpu("40", "search", "CC-200")])
        close(db, SEPTEMBER)
        issue(db, STATEMENT, "CC-100", [("charges", "gpu", "H100", "100.00"), ("charges", "Credit", None, "-5.00")])
        issue(db, "2026-09/CC-200/1", "CC-200", [("charges", "gpu", "H100", "40.00")])
    return workspace


@pytest.fixture
def say(books):
    """Raise or follow a dispute of the workspace."""

    def said(event, *about, **how):
        how = {"by": "ann", "note": "not ours", "tell": quiet} | how
        if event == "raised":
            return disputes.raise_dispute(books, *about, **how)
        return disputes.follow(books, *about, event, **how)

    return said


def standing(books, statement=None):
    with books.connect() as db:
        return disputes.listed(db, moments.now(db).at, statement)


def test_a_dispute_from_its_start_to_its_end(books, say, ask):
    assert say("raised", STATEMENT, 1, amount="30.5") == "D-1"
    say("answered", "D-1", by="finance", note="we look into it")
    say("answered", "D-1", by="ann", note="the pods were ops'")
    (row,) = standing(books)
    assert (row["status"], row["disputed_amount"], row["raised_by"], row["note"]) == ("answered", Decimal("30.50"), "ann", "not ours")
    assert (row["decided_at"], row["last_note"], row["component"], row["usage_period"]) == (None, "the pods were ops'", "gpu", SEPTEMBER)
    say("accepted", "D-1", by="finance", note="owner corrected from October on")
    (row,) = standing(books)
    assert (row["status"], row["decided_by"], row["decided_at"]) == ("accepted", "finance", row["last_at"])
    events = ask(books, "select event, said_by, disputed_amount from ledger.disputes order by recorded_at")
    assert events == [
        ("raised", "ann", Decimal("30.50")),
        ("answered", "finance", None),
        ("answered", "ann", None),
        ("accepted", "finance", None),
    ]
    assert ask(books, "select command, status, count(*) from meta.runs group by all") == [("dispute", "succeeded", 4)]
    assert ask(books, "select count(*), count(distinct recorded_at) from ledger.disputes") == [(4, 4)]


def test_what_is_said_is_written_by_one_at_a_time(say, monkeypatch):
    held = []

    @contextmanager
    def writing(_, what, tell):
        held.append(what)
        yield

    monkeypatch.setattr(disputes.lock, "writing", writing)
    say("raised", STATEMENT, 1)
    say("accepted", "D-1")
    assert held == ["tollbook dispute raise", "tollbook dispute accepted"]


def test_what_is_said_later_is_recorded_later_whatever_the_clock_does(books, say, ask):
    say("raised", STATEMENT, 1)
    with books.connect() as db:
        db.execute("update ledger.disputes set recorded_at = '2999-01-01'")
    say("answered", "D-1")
    say("rejected", "D-1", by="finance")
    assert ask(books, "select event from ledger.disputes order by recorded_at") == [("raised",), ("answered",), ("rejected",)]
    assert [row["status"] for row in standing(books)] == ["rejected"]


def test_no_dispute_moves_money(books, say, ask):
    before = ask(books, "from ledger.postings order by all")
    say("raised", STATEMENT, 1)
    say("accepted", "D-1")
    assert ask(books, "from ledger.postings order by all") == before


@pytest.mark.parametrize("end", ["accepted", "rejected"])
@pytest.mark.parametrize("then", ["answered", "accepted", "rejected"])
def test_nothing_follows_the_end(books, say, end, then):
    say("raised", STATEMENT, 1)
    say(end, "D-1", by="finance")
    with pytest.raises(TollbookError, match=f"D-1 was {end} by finance on .*: nothing follows that. Raise a new dispute"):
        say(then, "D-1")
    assert say("raised", STATEMENT, 1) == "D-2"
    assert [row["status"] for row in standing(books)] == [end, "raised"]


def test_all_of_a_line_where_no_amount_is_said(books, say):
    say("raised", STATEMENT, 1)
    say("raised", STATEMENT, 2)
    say("raised", "2026-09/CC-200/1", 1, amount="0.01")
    assert [row["disputed_amount"] for row in standing(books)] == [Decimal("100.00"), Decimal("-5.00"), Decimal("0.01")]
    assert [row["dispute_id"] for row in standing(books, STATEMENT)] == ["D-1", "D-2"]


@pytest.mark.parametrize(
    ("about", "how", "why"),
    [
        (("2026-09/CC-900/1", 1), {}, "there is no statement 2026-09/CC-900/1; its number stands on it"),
        ((STATEMENT, 3), {}, "2026-09/CC-100/1 has no line 3; it has lines 1 to 2"),
        ((STATEMENT, 1), {"by": " "}, "say who .--by. and why .--note.: nothing was recorded"),
        ((STATEMENT, 1), {"note": ""}, "say who .--by. and why"),
        ((STATEMENT, 1), {"amount": "12,34"}, "`12,34` is no amount in line 1 of 2026-09/CC-100/1: write it as 12.34"),
        ((STATEMENT, 1), {"amount": "1.234"}, "`1.234` is no amount"),
        ((STATEMENT, 1), {"amount": "NaN"}, "`NaN` is no amount"),
        ((STATEMENT, 1), {"amount": "100.01"}, "100.01 is no part of what line 1 of .* states, 100.00; leave --amount out"),
        ((STATEMENT, 1), {"amount": "-1"}, "-1 is no part"),
        ((STATEMENT, 1), {"amount": "0"}, "0 is no part"),
        ((STATEMENT, 2), {"amount": "2"}, "2 is no part of what line 2 of .* states, -5.00"),
    ],
)
def test_what_cannot_be_disputed(books, say, ask, about, how, why):
    with pytest.raises(TollbookError, match=why):
        say("raised", *about, **how)
    assert ask(books, "from ledger.disputes") == []
    assert ask(books, "select status from meta.runs") == [("failed",)]


def test_a_line_is_disputed_once_at_a_time(books, say):
    say("raised", STATEMENT, 1)
    say("answered", "D-1")
    with pytest.raises(TollbookError, match="line 1 of 2026-09/CC-100/1 is in dispute already: D-1"):
        say("raised", STATEMENT, 1)
    with pytest.raises(TollbookError, match="there is no dispute D-7"):
        say("answered", "D-7")


def test_a_statement_that_was_replaced_is_not_disputed(books, say):
    with books.connect() as db:
        issue(db, "2026-09/CC-100/2", "CC-100", [("charges", "gpu", "H100", "90.00")])
        # the same name in another part: a tenant is no cost centre
        issue(db, "2026-09/CC-200/9", "CC-200", [("charges", "gpu", "H100", "1.00")], kind="tenant")
    with pytest.raises(TollbookError, match="2026-09/CC-100/2 took the place of 2026-09/CC-100/1: dispute a line of that one"):
        say("raised", STATEMENT, 1)
    assert say("raised", "2026-09/CC-200/1", 1) == "D-1"


def test_the_mart_and_the_list_say_the_same(books, say, ask):
    say("raised", STATEMENT, 1)
    say("raised", STATEMENT, 2)
    say("answered", "D-1", note="first")
    say("rejected", "D-1", by="finance", note="yours")
    with books.connect() as db:
        marts(db, "fct_disputes")
    columns = ("dispute_id", "statement_id", "line_number", "recipient", "component", "stated_amount", "disputed_amount", "status")
    columns += ("raised_at", "raised_by", "note", "decided_at", "decided_by", "currency_code")
    rows = ask(books, f"select {', '.join(columns)} from finance.fct_disputes order by dispute_id")
    assert rows == [tuple(row[name] for name in columns) for row in standing(books)]
    assert ask(books, "select answer_count, last_note from finance.fct_disputes order by dispute_id") == [(1, "yours"), (0, None)]


def restated(books, since="close:2026-09", until="now", **said):
    with books.connect() as db:
        return restatement.restate(db, moments.parse(db, str(since)), moments.parse(db, str(until)), **said)


def test_the_restatement_names_the_dispute_beside_what_came_after(books, say, ask):
    say("raised", STATEMENT, 1, amount="30")
    say("accepted", "D-1", note="ops held them")
    say("raised", STATEMENT, 2)
    (first, second) = restated(books).disputes
    assert (first["dispute_id"], first["status"], first["posted_since"], first["run_ids"]) == ("D-1", "accepted", None, None)
    shown = {table.name: table.rows for table in report.tables(restated(books))}["restatement-disputes"]
    assert shown[0].cells[-1] == "nothing yet: the rule or the bill is still to be corrected"
    assert shown[1].cells[-1] == "nothing"

    with books.connect() as db:
        decided = moments.now(db)
    # accepted before, and still to be corrected: it stays in sight
    assert [(row["dispute_id"], row["posted_since"]) for row in restated(books, decided.at).disputes] == [("D-1", None)]
    with books.connect() as db:
        delivery(db, "again.csv", [DAY])
        credit = line("-5", DAY, team="research", cost_centre="CC-100", component="Credit")
        night(db, "october", [gpu("70"), gpu("30", "ops", "CC-900"), credit, gpu("41", "search", "CC-200")])
    found = restated(books, decided.at)
    assert restated(books, "now").disputes == []
    # decided before, but what follows from it is in this window; the other dispute is still open and nothing came of it
    (first,) = found.disputes
    assert (first["dispute_id"], first["posted_since"], first["reasons"], first["run_ids"]) == ("D-1", -30, ["correction"], ["october"])
    shown = {table.name: table.rows for table in report.tables(found)}["restatement-disputes"]
    assert shown[0].cells[-1] == "-30.00 (correction; october)"
    assert [row["dispute_id"] for row in restated(books).disputes] == ["D-1", "D-2"]
    assert restated(books, period=date(2026, 8, 1)).disputes == []
    assert restated(books, "2020-01-01", "close:2026-09").disputes == []
    assert [row["status"] for row in restated(books, until=second["raised_at"]).disputes] == ["accepted", "raised"]


@pytest.mark.parametrize(("kind", "recipient"), [("tenant", "acme"), ("bucket", "idle")])
def test_other_recipients(books, say, kind, recipient):
    charged = gpu("8", tenant="acme") if kind == "tenant" else line("8", DAY, team="idle", bucket="idle", component="gpu", gpu_model="H100")
    with books.connect() as db:
        issue(db, f"2026-09/{recipient}/1", recipient, [("charges", "gpu", "H100", "9.00")], kind)
    say("raised", f"2026-09/{recipient}/1", 1)
    with books.connect() as db:
        lines = [gpu("100"), line("-5", DAY, team="research", cost_centre="CC-100", component="Credit"), gpu("40", "search", "CC-200")]
        night(db, "october", [*lines, charged])
    (row,) = restated(books).disputes
    assert (row["recipient"], row["posted_since"]) == (recipient, 8)


def test_on_the_command_line(books):
    def run(*words):
        return CliRunner().invoke(cli.app, [*words, "-w", str(books.root)], catch_exceptions=False, env={"COLUMNS": "250"}).output

    assert run("dispute", "list").splitlines()[-1] == "No line of a statement is disputed."
    run("dispute", "raise", STATEMENT, "1", "--by", "ann", "--note", "[b]us[/b]", "--amount", "12.34")
    run("dispute", "answer", "D-1", "--by", "finance", "--note", "whose?")
    assert "D-1 is accepted. That moves no money" in run("dispute", "accept", "D-1", "--by", "finance", "--note", "ops'")
    run("dispute", "raise", STATEMENT, "2", "--by", "ann", "--note", "too little", "--amount", "-5.00")
    run("dispute", "reject", "D-2", "--by", "finance", "--note", "as agreed")
    shown = run("dispute", "list", "--statement", STATEMENT)
    assert "[b]us[/b]" in shown and "12.34 USD" in shown and "accepted" in shown
    rows = json.loads(run("dispute", "list", "--format", "json"))
    assert [(row["dispute_id"], row["status"], row["disputed_amount"]) for row in rows] == [
        ("D-1", "accepted", "12.34"),
        ("D-2", "rejected", "-5.00"),
    ]
    with pytest.raises(TollbookError, match="there is no statement x"):
        run("dispute", "list", "--statement", "x")
