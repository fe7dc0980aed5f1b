"""The opening balance: months from before the ledger count as closed, and then are closed months like any other."""

import shutil
from datetime import date
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from tests import close_cases, ledgers, scratch_ledgers, statement_months
from tests.scratch_ledgers import charge
from tests.workspaces import quiet, write_workspace
from tollbook import cli
from tollbook.commands.console import console
from tollbook.errors import TollbookError
from tollbook.finance import close, ledger, moments, opening, periods, restatement, statements, trial_balance
from tollbook.workspace import Workspace

JUNE, JULY, AUGUST, SEPTEMBER, OCTOBER = (date(2026, number, 1) for number in range(6, 11))
NOTHING_FROZEN = "settled before the ledger began: nothing was frozen; reopen and close it to state it"


def night(db, run_id, *days, horizon="2026-10-01"):
    """Build what is computed now, its data up to ``horizon``, and post it."""
    scratch_ledgers.build(db, *days)
    db.execute("update meta.build_state set horizon_at = ?", [horizon])
    return ledger.post(db, run_id)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A workspace with a history: June to August, of which July has two teams, and September, in one first night."""
    workspace = write_workspace(tmp_path_factory.mktemp("history") / "workspace", "currency: USD\nsources: []\n")
    with scratch_ledgers.write(workspace.warehouse) as db:
        statement_months.marts(db)
        db.execute("alter table finance.fct_charges add column billed_by varchar")
        db.execute("create table config.workspace as select 'USD' as currency_code")
        db.execute(
            "insert into meta.check_results by name select 'audit' as run_id, 'pass' as status, timestamp '9999-01-01' as checked_at"
        )
        for day, team, cost in (
            ("2026-06-10", "red", 100),
            ("2026-07-05", "red", 200),
            ("2026-07-20", "blue", 20),
            ("2026-08-31", "red", 300),
            ("2026-09-02", "blue", 50),
        ):
            charge(db, day, team, cost, cost_centre=f"CC-{team}")
            db.execute("insert into quality.fct_reconciliation select 'bill', date_trunc('month', ?::date), 0, 0, 1", [day])
        night(db, "first night")
        ledgers.marts(db, "dim_accounting_periods")
    return workspace


@pytest.fixture
def adopted(history, tmp_path):
    """A copy of it."""
    return Workspace.open(shutil.copytree(history.root, tmp_path / "workspace"))


@pytest.fixture
def opened(adopted):
    """Its months up to August are settled."""
    opening.settle(adopted, AUGUST, "Ada Finance", "books of the old system", tell=quiet)
    return adopted


def ask(workspace, query):
    return close_cases.ask(workspace, query)


def correct(workspace, day="2026-07-20", more=7):
    """A day's bill comes again with a higher cost, and a night posts it."""
    with workspace.connect() as db:
        db.execute("update charges set cost = cost + ? where usage_date = ?", [more, day])
        scratch_ledgers.deliver(db, [day])
        night(db, "late", day)


def tollbook(workspace, *arguments):
    """What a command says, with its status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "_width", 300)
        said = CliRunner().invoke(cli.app, [*arguments, "--workspace", str(workspace.root)])
    return f"{said.output}{said.exception or ''}", said.exit_code


def test_the_month_and_all_open_ones_before_it_count_as_settled_at_one_moment(adopted):
    told = []
    found = opening.settle(adopted, AUGUST, "Ada Finance", " books of the old system ", tell=told.append)
    assert found.months == (opening.Month(JUNE, 4, 100), opening.Month(JULY, 8, 220), opening.Month(AUGUST, 4, 300))
    assert told == [
        "3 months, 2026-06 to 2026-08, count as settled before the ledger began; what changes of it is posted in the next open month"
    ]
    events = ask(
        adopted,
        "select accounting_period, event, recorded_at, approved_by, reason, content_hash, folder from ledger.period_events order by 1",
    )
    said = (found.recorded_at, "Ada Finance", "opening balance: books of the old system", None, None)
    assert events == [(month, "closed", *said) for month in (JUNE, JULY, AUGUST)]
    assert not adopted.closed.exists() and not adopted.statements.exists()
    assert ask(adopted, "select (select count(*) from ledger.statements), (select count(*) from ledger.waivers)") == [(0, 0)]
    assert ask(adopted, "select accounting_period, status, is_opening, approved_by, times_closed, charged_cost, content_hash"
               " from finance.dim_accounting_periods order by 1") == [
        (JUNE, "closed", True, "Ada Finance", 1, 100, None),
        (JULY, "closed", True, "Ada Finance", 1, 220, None),
        (AUGUST, "closed", True, "Ada Finance", 1, 300, None),
        (SEPTEMBER, "open", False, None, 0, 50, None),
    ]  # fmt: skip


def test_without_a_reason_it_is_an_opening_balance(adopted):
    opening.settle(adopted, JUNE, "Ada", tell=quiet)
    assert ask(adopted, "select reason from ledger.period_events") == [("opening balance",)]


def test_a_dry_run_says_the_same_months_and_changes_nothing(adopted):
    before = close_cases.state(adopted)
    found = opening.settle(adopted, JULY, "", dry_run=True)
    assert close_cases.state(adopted) == before
    assert found == opening.Opening(JULY, (opening.Month(JUNE, 4, Decimal(100)), opening.Month(JULY, 8, Decimal(220))), None)


def test_what_changes_of_such_a_month_is_posted_in_the_next_open_one(opened):
    correct(opened)
    with opened.connect() as db:
        assert scratch_ledgers.posted(db, "late") == [("2026-09", "2026-07-20", "blue", "correction", 7)]
        scratch_ledgers.assert_balanced(db)
        assert scratch_ledgers.unlike_computed(db) == []
        now = moments.now(db)
        balances = trial_balance.balances(db, now.at)
        assert len(balances) > 5 and sum(row["balance_cost"] for row in balances) == 0
        # the opening balance is a moment, by whichever of its months
        since = moments.parse(db, "close:2026-08")
        assert since.at == moments.parse(db, "close:2026-06").at
        assert scratch_ledgers.charged(db, until=since.at) == {"blue": 70, "red": 600}
        restated = restatement.restate(db, since, now)
        assert [(row["usage_period"], row["reason"], row["posted_cost"], row["accounting_periods"]) for row in restated.causes] == [
            (JULY, "correction", 7, [SEPTEMBER])
        ]
        assert [row["said_by"] for row in moments.recorded(db) if row["event"] == "closed"] == ["Ada Finance"] * 3
    assert dict(ask(opened, "select accounting_period, charged_cost from finance.dim_accounting_periods")) == {
        JUNE: 100, JULY: 220, AUGUST: 300, SEPTEMBER: 57
    }  # fmt: skip


def test_a_month_after_it_is_closed_in_the_ordinary_way(opened):
    correct(opened)
    found = {check.check_id: check for check in close.close(opened, SEPTEMBER, "", dry_run=True, tell=quiet).checks}
    assert found["earlier_closed"].status == "pass" and {check.status for check in found.values()} == {"pass"}
    report = close.close(opened, SEPTEMBER, "Grace", tell=quiet)
    assert report.folder.name == "2026-09" and report.statements == 1
    assert ask(opened, "select statement_id, section, usage_period, charged_cost from ledger.statement_lines order by all") == [
        ("2026-09/CC-blue/1", "adjustments", JULY, 7),
        ("2026-09/CC-blue/1", "charges", SEPTEMBER, 50),
    ]
    assert ask(opened, "select is_opening, status from finance.dim_accounting_periods where accounting_period = '2026-09-01'") == [
        (False, "closed")
    ]


def test_such_a_month_can_be_reopened_and_closed_in_the_ordinary_way(opened):
    close.reopen(opened, AUGUST, "Grace", "to state it", tell=quiet)
    assert ask(opened, "select status, is_opening from finance.dim_accounting_periods where accounting_period = '2026-08-01'") == [
        ("open", True)
    ]
    correct(opened, "2026-08-31", 3)
    assert ask(opened, "select distinct accounting_period from ledger.postings where run_id = 'late'") == [(AUGUST,)]
    report = close.close(opened, AUGUST, "Grace", tell=quiet)
    # the first that is kept of it, and the first version of what it states
    assert report.folder == opened.closed / "2026-08" and report.folder.is_dir()
    assert ask(opened, "select statement_id, charged_cost from ledger.statements") == [("2026-08/CC-red/1", 303)]
    assert ask(opened, "select status, is_opening, times_closed, content_hash from finance.dim_accounting_periods"
               " where accounting_period = '2026-08-01'") == [("closed", False, 2, report.content_hash)]  # fmt: skip
    assert len(statements.issue_closed(opened, AUGUST, pdf=False, tell=quiet)) == 1
    # what it closed itself is no longer from before
    close.reopen(opened, AUGUST, "Grace", "again", tell=quiet)
    with pytest.raises(TollbookError, match=r"this ledger closed 2026-08 itself.*ordinary way, without --opening"):
        opening.settle(opened, AUGUST, "Ada", tell=quiet)


def test_such_a_month_can_be_reopened_and_counted_again_and_a_later_one_after_it(opened):
    close.reopen(opened, JULY, "Grace", "the wrong month", tell=quiet)
    assert [month.period for month in opening.settle(opened, JULY, "Ada", tell=quiet).months] == [JULY]
    assert [month.period for month in opening.settle(opened, SEPTEMBER, "Ada", tell=quiet).months] == [SEPTEMBER]
    assert ask(opened, "select count(*) from ledger.period_events where event = 'closed'") == [(5,)]


def test_counting_a_month_twice_is_refused_and_so_is_closing_it(opened):
    before = ask(opened, "from ledger.period_events order by all")
    for again in (opening.settle, close.close):
        with pytest.raises(close.ClosedAlready, match=f"2026-07 is closed already, at .* UTC; it was {NOTHING_FROZEN}"):
            again(opened, JULY, "Ada", tell=quiet)
    assert ask(opened, "from ledger.period_events order by all") == before


def test_what_comes_of_months_that_had_no_postings_is_settled_too_until_the_ledger_closes_one_itself(opened):
    with opened.connect() as db:
        charge(db, "2026-05-03", "red", 4)
        night(db, "older history", "2026-05-03")
    assert [month.period for month in opening.settle(opened, date(2026, 5, 1), "Ada", tell=quiet).months] == [date(2026, 5, 1)]
    close.close(opened, SEPTEMBER, "Grace", tell=quiet)
    with opened.connect() as db:
        charge(db, "2026-10-03", "red", 9)
        night(db, "october", "2026-10-03", horizon="2026-11-01")
    with pytest.raises(TollbookError, match="2026-10 is not counted as settled: this ledger closed 2026-09 itself"):
        opening.settle(opened, OCTOBER, "Ada", tell=quiet)


@pytest.mark.parametrize(
    ("period", "approved_by", "change", "said"),
    [
        (AUGUST, " ", None, "say who approved it, with --approved-by"),
        (OCTOBER, "Ada", None, "nothing is posted in it; the last open month before it that was posted in is 2026-09"),
        (date(2026, 5, 1), "Ada", None, "nothing is posted in it; no month before it is open"),
        (date(2999, 1, 1), "Ada", None, "it is not over before the end of 2999-01-31"),
        (AUGUST, "Ada", "update meta.build_state set built_at = built_at + interval 1 second", "does not have the newest build yet"),
        (AUGUST, "Ada", "drop table ledger.period_events", "has not built the warehouse yet"),
    ],
)
def test_what_cannot_be_counted_is_refused_and_nothing_is_recorded(adopted, period, approved_by, change, said):
    if change:
        close_cases.change(adopted, change)
    with pytest.raises(TollbookError, match=said):
        opening.settle(adopted, period, approved_by, dry_run=bool(approved_by.strip()), tell=quiet)
    if "drop" not in (change or ""):
        with pytest.raises(TollbookError, match=said):
            opening.settle(adopted, period, approved_by, tell=quiet)
        assert ask(adopted, "select count(*) from ledger.period_events") == [(0,)]


def test_a_kill_between_two_months_leaves_all_of_them_open(adopted, monkeypatch):
    record = periods.record

    def killed(db, period, *rest):
        if period == AUGUST:
            raise KeyboardInterrupt
        record(db, period, *rest)

    monkeypatch.setattr(periods, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        opening.settle(adopted, AUGUST, "Ada", tell=quiet)
    assert ask(adopted, "select count(*) from ledger.period_events") == [(0,)]


def test_the_month_that_is_due_is_the_oldest_open_one(adopted):
    assert close.due(adopted, date(2026, 10, 5)) == JUNE
    opening.settle(adopted, AUGUST, "Ada", tell=quiet)
    assert close.due(adopted, date(2026, 10, 5)) == close.due(adopted, date(2026, 11, 5)) == SEPTEMBER
    close.close(adopted, SEPTEMBER, "Grace", tell=quiet)
    # all is closed: the month before, which says so
    assert close.due(adopted, date(2026, 10, 31)) == SEPTEMBER
    # one that runs is not due
    close.reopen(adopted, SEPTEMBER, "Grace", "once more", tell=quiet)
    assert close.due(adopted, date(2026, 9, 30)) == AUGUST


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--opening", "--waive", "deliveries:bill=why"], "--opening checks and accrues nothing"),
        (["--opening", "--accrue"], "--opening checks and accrues nothing"),
        (["--reason", "why"], "--reason goes with --opening"),
        (["--opening"], "say who approved it"),
    ],
)
def test_options_that_do_not_go_together_are_refused(adopted, options, said):
    output, code = tollbook(adopted, "close", "2026-08", *options)
    assert said in output and code == 1
    assert ask(adopted, "select count(*) from ledger.period_events") == [(0,)]


def test_the_commands_say_what_is_counted(adopted, tmp_path):
    output, code = tollbook(adopted, "close", "2026-08", "--opening", "--dry-run")
    rows = [line.split() for line in output.splitlines()]
    assert code == 0 and ["2026-07", "8", "220.00"] in rows and ["all", "16", "620.00"] in rows
    assert ask(adopted, "select count(*) from ledger.period_events") == [(0,)]
    output, code = tollbook(adopted, "close", "2026-08", "--opening", "--approved-by", "Ada", "--reason", "audited")
    assert code == 0 and "3 months, 2026-06 to 2026-08, count as settled" in output
    assert "2026-08 closed" in (runs := tollbook(adopted, "ledger", "runs")[0]) and "by Ada: opening balance: audited" in runs
    assert "ledger: opening balance up to 2026-08, at" in (said := tollbook(adopted, "status")[0]) and "first open month 2026-09" in said
    for arguments in (("statements", "2026-08"), ("explain", "statement", "2026-08/CC-red/1")):
        output, code = tollbook(adopted, *arguments)
        assert f"2026-08 was {NOTHING_FROZEN}" in output and code == 1
    journal = tmp_path / "journal.csv"
    output, code = tollbook(adopted, "export", "journal", "--period", "2026-08", "--out", str(journal))
    assert code == 0 and "import nothing of it twice" in output and "is not closed" not in output
    assert "300.00" in journal.read_text()
    output, _ = tollbook(adopted, "export", "journal", "--period", "2026-09", "--out", str(journal))
    assert "2026-09 is not closed" in output and "twice" not in output
