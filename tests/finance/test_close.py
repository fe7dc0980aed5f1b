"""The close of the sample month: each check alone, waivers and accruals, what is frozen, reopening, and kills in the middle."""

import json
import shutil
import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests import close_cases
from tests.close_cases import SEPTEMBER, ask, change, post, state
from tollbook.errors import TollbookError
from tollbook.finance import close as closing
from tollbook.finance import freeze, ledger
from tollbook.finance.close import close, reopen

REPO = Path(__file__).resolve().parents[2]
OCTOBER = date(2026, 10, 1)


def tollbook(*arguments):
    command = [sys.executable, "-m", "tollbook.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=False)


@pytest.fixture(scope="session")
def built_month(tmp_path_factory):
    """The sample month, loaded, built, checked, posted and published, once."""
    folder = tmp_path_factory.mktemp("built") / "workspace"
    for arguments in (["init", folder, "--sample"], ["run", "--workspace", folder]):
        done = tollbook(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def month(built_month, tmp_path):
    """A copy of it to close."""
    return close_cases.copy(built_month, tmp_path / "workspace")


@pytest.fixture
def issued(monkeypatch):
    """Statements that only note what they were asked for: (period, folder, where to)."""
    calls = []
    module = close_cases.statements_that_note(calls)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("tollbook.finance.statements", module, raising=False)
    return calls


def checked(month, **options):
    return {check.check_id: check for check in close(month, SEPTEMBER, "", dry_run=True, **options).checks}


def of_status(month, status, **options):
    return {name for name, check in checked(month, **options).items() if check.status == status}


def wait_for_the_bill(month):
    """The cloud's bill of the month is not final."""
    change(month, "update finance.fct_billing_periods set state = 'open' where billed_by = 'Nimbus Cloud'")


def test_the_sample_month_would_close_and_a_dry_run_changes_nothing(month):
    before = state(month)
    found = checked(month)
    assert state(month) == before
    assert {check.status for check in found.values()} == {"pass", "warn"} and len(found) == 15
    assert found["reconciliation"].observed == "0.00, 879 rows compared"
    assert found["unowned"].observed == "0.66% of what is charged (200.00 of 30,516.00)"
    assert {item.name for item in found["deliveries"].items} == {"dcgm", "usage", "serving_cpu"}
    assert {item.name for item in found["unpriced_usage"].items} >= {"nova-mini, input", "nova-mini, output"}


LOST_DAYS = (
    "delete from meta.delivery_days where source_name = 'cloud_bill' and usage_date between '2026-09-11' and '2026-09-12'",
    "update finance.fct_billing_periods set state = 'open' where billed_by = 'Nimbus Cloud'",
)
ESTIMATE = (
    "(date '2026-09-01', 'cost', 'allocated', 'search', date '2026-09-30', date '2026-09-01', 'Lumen AI', 'estimated', 12.50)",
    "(date '2026-09-01', 'accrual', null, null, date '2026-09-30', date '2026-09-01', 'Lumen AI', 'estimated', -12.50)",
)


@pytest.mark.parametrize(
    ("check", "said", "statements"),
    [
        ("period_over", "reach to 2026-09-30 12:00 UTC", ["update meta.build_state set horizon_at = '2026-09-30 12:00'"]),
        ("posted", "not posted", ["delete from ledger.runs"]),
        ("posted", "no audit has run", ["update meta.check_results set checked_at = '2026-01-01'"]),
        ("posted", "1 checks of severity error", ["insert into meta.check_results by name select * replace ('error' as status)"
            " from meta.check_results where run_id = (select run_id from meta.check_results order by checked_at desc limit 1) limit 1"]),
        ("posted", "2 days have newer loads", ["insert into meta.touched_days values ('2026-09-03', 'requests'), ('2026-09-04', 'requests')"]),
        ("posted", "1 days have newer loads", ["insert into meta.touched_open values ('2026-08-03')"]),
        ("deliveries", "cloud_bill: 2 days without a delivery (2026-09-11, 2026-09-12)", LOST_DAYS),
        ("deliveries", "vendor_bill: nothing is delivered for this month", [
            "delete from meta.delivery_days where source_name = 'vendor_bill'", "delete from finance.fct_charges where source_name = 'vendor_bill'"]),
        ("deliveries", "gateway: nothing is delivered for this month", [
            "update meta.delivery_days set usage_date = usage_date - 30 where source_name = 'gateway'"]),
        ("deliveries", "gateway: the newest delivery failed: no such column", [
            "insert into meta.deliveries by name select * replace ('failed' as status, false as is_current, 'other' as delivery_id,"
            " 'no such column' as error, now()::timestamp as loaded_at) from meta.deliveries where source_name = 'gateway'"]),
        ("quarantine", "cloud_bill:landing/cloud_bill/2026-09.csv: 2 rows (is not a number)", [
            "insert into raw.quarantine select 'cloud_bill', delivery_id, file_names[1], unnest([3, 4]), 'BilledCost', 'x', 'is not a number',"
            " now()::timestamp from meta.deliveries where source_name = 'cloud_bill'"]),
        ("reconciliation", "cloud_bill: effective less allocated cost is 0.01", [
            "update quality.fct_reconciliation set cost_delta = 0.01 where source_name = 'cloud_bill'"]),
        ("reconciliation", "3 delivered rows", ["update quality.fct_reconciliation set rows_delta = 3 where source_name = 'cloud_bill'"]),
        ("reconciliation", "compared no row", ["delete from quality.fct_reconciliation"]),
        ("bridge", "Lumen AI: remainder -0.01", [
            "update quality.fct_bridge set cost = -0.01 where term = 'remainder' and billed_by = 'Lumen AI'"]),
        ("trial_balance", "account bridge of Lumen AI, bill of 2026-09: 756", [
            "update ledger.postings set account = 'accrual' where account = 'bridge' and basis = 'billed' and billed_by = 'Lumen AI'"]),
        ("invoices", "LA-2026-09: Lumen AI asks for 4.00 USD more", [
            "update finance.fct_invoice_tie_out set status = 'differs', delta_cost = 4 where invoice_id = 'LA-2026-09'"]),
        ("invoices", "no line names the invoice", ["update finance.fct_invoice_tie_out set status = 'no_lines' where invoice_id = 'LA-2026-09'"]),
        ("unowned", "9.18% of what is charged (2,800.00 of 30,516.00)", [
            "update ledger.postings set posted_cost = posted_cost * 14 where bucket = 'unowned'",
            "update ledger.postings set posted_cost = posted_cost - 2600 where posting_id = (select max(posting_id) from ledger.postings"
            " where bucket = 'idle' and billed_by = 'Nimbus Cloud')"]),
    ],
)  # fmt: skip
def test_each_check_fails_alone(month, check, said, statements):
    if check == "unowned":
        (month.config / "gates.yml").write_text("close: {unowned_ratio: {error_above: 0.05}}\n")
    change(month, *statements)
    found = checked(month)
    assert {name for name, one in found.items() if one.status == "fail"} == {check}
    assert said in found[check].observed and found[check].advice
    with pytest.raises(closing.NotClosed, match=check):
        close(month, SEPTEMBER, "Ada")
    assert not month.closed.exists() and ask(month, "select count(*) from ledger.period_events") == [(0,)]
    assert ask(month, "select status from meta.runs where command = 'close'") == [("failed",)]


def test_a_posting_alone_an_open_month_before_and_an_empty_month_stop_the_close(month):
    post(
        month,
        "(date '2026-09-01', 'cost', 'allocated', 'search', date '2026-09-30', date '2026-09-01', 'Lumen AI', 'billed', 0.000000000001)",
    )
    assert of_status(month, "fail") == {"trial_balance"}
    post(month, "(date '2026-08-01', 'rounding', null, null, date '2026-08-31', date '2026-08-01', null, 'billed', -0.000000000001)")
    found = checked(month)
    assert (
        found["earlier_closed"].observed == "2026-08 is open"
        and "those of the month add up to 0.000000000001" in found["trial_balance"].observed
    )
    empty = {check.check_id: check for check in close(month, date(2026, 7, 1), "", dry_run=True).checks}
    assert empty["posted"].status == "fail" and "nothing is posted in this month" in empty["posted"].observed


@pytest.mark.parametrize(
    ("check", "statement"),
    [
        ("bills_final", "update finance.fct_billing_periods set state = 'open' where billed_by = 'Lumen AI'"),
        ("invoices", "update finance.fct_invoice_tie_out set status = 'no_invoice' where invoice_id = 'LA-2026-09'"),
    ],
)
def test_what_the_close_need_not_wait_for_is_told(month, check, statement):
    assert checked(month)[check].status == "pass"
    change(month, statement)
    assert (checked(month)[check].status, of_status(month, "fail")) == ("warn", set())


def test_a_bill_covers_the_month_by_its_days_or_by_being_final(month):
    change(month, LOST_DAYS[0])
    assert of_status(month, "fail") == set()
    wait_for_the_bill(month)
    assert of_status(month, "fail") == {"deliveries"}


def test_days_of_telemetry_count_as_the_gate_of_the_source_says(month):
    gates = month.config / "gates.yml"
    gates.write_text("sources: {dcgm: {missing_telemetry_days: {error_above: 27}}, usage: {missing_telemetry_days: {warn_above: 24}}}\n")
    assert {(item.name, item.blocks) for item in checked(month)["deliveries"].items} == {("dcgm", True), ("serving_cpu", False)}
    gates.write_text("missing_telemetry_days: {error_above: 28}\nmissing_bill_days: {error_above: 2}\n")
    change(month, *LOST_DAYS)
    assert of_status(month, "fail") == set()


def test_what_has_no_end_covers_its_days_and_rows_in_quarantine_without_a_day_are_of_every_month(month):
    change(month, "update raw.holdings set ended_at = started_at where source_name = 'slurm' and ended_at is null")
    assert "slurm: 1 days without a delivery (2026-09-30)" in checked(month)["deliveries"].observed
    change(
        month,
        "insert into raw.quarantine values ('register', 'none', 'landing/register.csv', 2, 'cost', 'x', 'is not a number', now()::timestamp)",
    )
    assert [item.name for item in checked(month)["quarantine"].items] == ["register:landing/register.csv"]
    change(
        month,
        "insert into meta.delivery_days values ('register', 'none', '2026-10-01')",
    )
    assert checked(month)["quarantine"].status == "pass"


def test_a_failed_delivery_of_another_month_and_one_withdrawn_do_not_stop_the_close(month):
    change(
        month,
        "insert into meta.deliveries by name select * replace ('other' as delivery_id, 'landing/gateway/2026-10.csv' as partition_key)"
        " from meta.deliveries where source_name = 'gateway'",
        "insert into meta.delivery_days values ('gateway', 'other', '2026-10-01')",
        "insert into meta.deliveries by name select * replace ('failed' as status, false as is_current, 'third' as delivery_id,"
        " 'broken' as error, now()::timestamp as loaded_at) from meta.deliveries where delivery_id = 'other'",
        "insert into meta.deliveries by name select * replace ('failed' as status, false as is_current, 'fourth' as delivery_id, 'broken' as error,"
        " 'landing/gateway/2026-09b.csv' as partition_key, now()::timestamp - interval 8 day as loaded_at)"
        " from meta.deliveries where delivery_id = 'other'",
    )
    assert of_status(month, "fail") == set()


def test_a_closed_month_is_frozen_as_it_was_known_and_recorded(month, issued):
    said = []
    report = close(month, SEPTEMBER, "Ada Finance", tell=said.append)
    folder = month.closed / "2026-09"
    assert (report.folder, report.postings, report.statements, report.passes) == (folder, 1038, 1, True)
    event = ask(month, "select accounting_period, event, recorded_at, approved_by, reason, content_hash, folder from ledger.period_events")
    assert event == [(SEPTEMBER, "closed", report.closed_at, "Ada Finance", "all checks passed", freeze.content_hash(folder), "2026-09")]
    assert freeze.manifest_of(folder)["known_at"] == report.closed_at.isoformat()
    assert [path.name for path in month.closed.iterdir()] == ["2026-09"]
    frozen = duckdb.sql(
        f"select sum(posted_cost) filter (bucket is not null), sum(posted_cost) from '{folder}/postings.parquet'"
    ).fetchall()
    assert frozen == [(Decimal(30516), 0)]
    assert duckdb.sql(f"select count(*) > 100 from '{folder}/allocation.parquet'").fetchall() == [(True,)]
    assert issued == [(SEPTEMBER, folder, month.statements / "2026-09")]
    assert ask(month, "select status from meta.runs where command = 'close'") == [("succeeded",)]
    assert ask(month, "select accounting_period, status, closed_at, approved_by, times_closed, charged_cost, content_hash"
        " from finance.dim_accounting_periods") == [
        (SEPTEMBER, "closed", report.closed_at, "Ada Finance", 1, Decimal(30516), report.content_hash)
    ]  # fmt: skip
    assert any("2026-09 is closed" in line for line in said)
    assert "closed up to 2026-09" in tollbook("status", "--workspace", month.root).stdout


def test_a_month_is_closed_once_and_by_somebody(month, issued):
    with pytest.raises(TollbookError, match="say who approved it"):
        close(month, SEPTEMBER, " ")
    close(month, SEPTEMBER, "Ada")
    frozen = {name: digest for name, digest in state(month).items() if name.startswith("closed")}
    for dry_run in (False, True):
        with pytest.raises(closing.ClosedAlready, match=r"closed already .* `tollbook reopen 2026-09`"):
            close(month, SEPTEMBER, "Bob", dry_run=dry_run)
    assert {name: digest for name, digest in state(month).items() if name.startswith("closed")} == frozen
    assert len(issued) == len(ask(month, "from ledger.period_events")) == 1


def test_statements_that_could_not_be_written_leave_a_closed_month_that_says_how(month, monkeypatch):
    module = close_cases.statements_that_note([], fault="no room on the disk.")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("tollbook.finance.statements", module, raising=False)
    with pytest.raises(TollbookError, match=r"is closed and kept in .*no room on the disk. .*`tollbook statements 2026-09`"):
        close(month, SEPTEMBER, "Ada")
    with pytest.raises(TollbookError, match=r"statements were not written: `tollbook statements 2026-09`") as again:
        close(month, SEPTEMBER, "Ada")
    assert "reopen" not in str(again.value)


WAIVERS = "period,check,item,reason,approved_by,accrual_cost,team,billed_by\n"
ROWS_LOST = (
    "insert into raw.quarantine select 'cloud_bill', delivery_id, file_names[1], 3, 'BilledCost', 'x', 'is not a number', now()::timestamp"
    " from meta.deliveries where source_name = 'cloud_bill'"
)
LOST = "cloud_bill:landing/cloud_bill/2026-09.csv"


def test_waived_with_an_accrual_the_month_closes_and_the_next_takes_it_back(month, issued):
    change(month, ROWS_LOST, *LOST_DAYS)
    (month.config / "close_waivers.csv").write_text(
        WAIVERS
        + f"2026-09,quarantine,{LOST},one node's day,Grace,120.50,search,Nimbus Cloud\n"
        + "2026-08,deliveries,cloud_bill,another month,Grace,,,\n2026-09,invoices,LA-2026-09,was open,Grace,,,\n"
    )
    assert of_status(month, "fail") == {"deliveries"}
    said = []
    report = close(month, SEPTEMBER, "Ada", waive=["deliveries:cloud_bill=an outage = no bill"], tell=said.append)
    assert {check.check_id for check in report.checks if check.status == "waived"} == {"quarantine", "deliveries"}
    assert any("invoices:LA-2026-09 needs no waiver" in line for line in said)
    assert ask(
        month, "select check_id, item, reason, approved_by, recorded_at, accrual_cost, team, billed_by from ledger.waivers order by 1"
    ) == [
        ("deliveries", "cloud_bill", "an outage = no bill", "Ada", report.closed_at, None, None, None),
        ("quarantine", LOST, "one node's day", "Grace", report.closed_at, Decimal("120.5"), "search", "Nimbus Cloud"),
    ]
    booked = (
        "select accounting_period, reason, account, team, billed_by, posted_cost from {} where reason like 'accrual%' and"
        " recorded_at = ? order by all"
    )
    taken = [
        (SEPTEMBER, "accrual", "accrual", None, "Nimbus Cloud", Decimal("-120.5")),
        (SEPTEMBER, "accrual", "cost", "search", "Nimbus Cloud", Decimal("120.5")),
    ]
    assert ask(month, booked.format("ledger.postings"), report.closed_at) == [
        *taken,
        (OCTOBER, "accrual_reversal", "accrual", None, "Nimbus Cloud", Decimal("120.5")),
        (OCTOBER, "accrual_reversal", "cost", "search", "Nimbus Cloud", Decimal("-120.5")),
    ]
    assert duckdb.execute(booked.format(f"'{report.folder}/postings.parquet'"), [report.closed_at]).fetchall() == taken
    assert report.postings == 1040 and ask(month, "select sum(posted_cost) from ledger.postings") == [(0,)]
    assert "quarantine:" in ask(month, "select reason from ledger.period_events")[0][0]

    reopen(month, SEPTEMBER, "Ada", "the bill was mended", tell=said.append)
    change(month, "delete from raw.quarantine")
    again = close(month, SEPTEMBER, "Ada", waive=["deliveries:cloud_bill=an outage"], tell=said.append)
    # what was accrued at the first close and is not any more is taken back, in both months
    assert ask(month, "select accounting_period, sum(posted_cost) from ledger.postings where reason like 'accrual%' and bucket is not null group by 1 order by 1") == [
        (SEPTEMBER, 0), (OCTOBER, 0)
    ]  # fmt: skip
    assert again.folder.name == "2026-09-2"


def test_a_cost_whose_bill_is_to_come_is_accrued_where_every_check_passes(month, issued):
    (month.config / "close_waivers.csv").write_text(
        WAIVERS + '2026-09,accrual,consulting-invoice,"work of September, bill to come",Grace,500.00,search,Acme\n'
    )
    said = "accrual:consulting-invoice: 500.00 USD, search, Acme; 500.00 USD in all"
    before = state(month)
    assert checked(month)["accrual"].observed == said and of_status(month, "fail") == set() and state(month) == before
    report = close(month, SEPTEMBER, "Ada")
    assert [check.observed for check in report.checks if check.check_id == "accrual"] == [said] and f"| {said} |" in report.markdown()
    by_month = "select {}, sum(posted_cost) from ledger.postings where team = 'search' and billed_by = 'Acme' group by 1 order by 1"
    assert ask(month, by_month.format("accounting_period")) == [(SEPTEMBER, 500), (OCTOBER, -500)]
    assert ask(month, by_month.format("usage_date")) == [(date(2026, 9, 30), 0)]
    assert ask(month, "select check_id, item, approved_by, accrual_cost from ledger.waivers") == [
        ("accrual", "consulting-invoice", "Grace", 500)
    ]


def test_one_item_waived_of_two_still_fails_and_only_what_may_be_waived_is(month):
    change(month, ROWS_LOST, *LOST_DAYS)
    change(month, ROWS_LOST.replace("file_names[1]", "'landing/cloud_bill/other.csv'"))
    found = checked(month, waive=[f"quarantine:{LOST}=known"])["quarantine"]
    assert found.status == "fail" and "Left: cloud_bill:landing/cloud_bill/other.csv" in found.advice
    for waive, said in (
        ("quarantine:nothing=why", "To waive there is: deliveries:cloud_bill, quarantine:"),
        ("deliveries:cloud_bill", "is not check:item=reason"),
        ("deliveries:cloud_bill= ", "say why"),
        ("reconciliation:cloud_bill=why", "is not check:item=reason"),
    ):
        with pytest.raises(TollbookError, match=said):
            checked(month, waive=[waive])


def test_a_team_nobody_knows_cannot_be_accrued_and_nothing_is_closed(month, issued):
    change(month, ROWS_LOST)
    before = ask(month, "select count(*) from ledger.postings")
    (month.config / "close_waivers.csv").write_text(WAIVERS + f"2026-09,quarantine,{LOST},lost,Grace,1,nobody-such,\n")
    assert of_status(month, "fail") == {"accrual"} and "nobody-such" in checked(month)["accrual"].observed
    with pytest.raises(closing.NotClosed, match="nobody-such"):
        close(month, SEPTEMBER, "Ada")
    assert ask(month, "select count(*) from ledger.postings") == before
    assert ask(month, "select (select count(*) from ledger.waivers), (select count(*) from ledger.period_events)") == [(0, 0)]
    assert list(month.closed.glob("*")) == [] and issued == []


def test_estimates_stop_the_close_or_stand_as_accruals(month, issued):
    post(month, *ESTIMATE)
    assert of_status(month, "fail") == {"estimates"}
    assert checked(month)["estimates"].observed == "estimated, not billed yet: Lumen AI 2026-09: 12.50 USD"
    # a markup on it is not billed by anybody
    markup = "(date '2026-09-01', '{}', {}, 'search', date '2026-09-30', date '2026-09-01', null, 'estimated', {}3.25)"
    post(month, markup.format("cost", "'allocated'", ""), markup.format("margin", "null", "-"))
    change(month, "update ledger.postings set component = 'markup' where billed_by is null and account = 'cost'")
    report = close(month, SEPTEMBER, "Ada", accrue=True)
    assert "accrued 12.50 USD in account accrual" in ask(month, "select reason from ledger.period_events")[0][0]
    assert report.passes
    # the bill comes in the next month: that month has no estimate left, though its postings of estimates are below 0
    post(
        month,
        *(row.replace("2026-09-01', '", "2026-10-01', '", 1).replace("-12.50", "+12.5").replace("12.50", "-12.50") for row in ESTIMATE),
    )
    october = {check.check_id: check for check in close(month, OCTOBER, "", dry_run=True).checks}
    assert october["estimates"].status == "pass"


def test_estimates_without_their_accrual_cannot_be_accrued(month):
    post(month, ESTIMATE[0], ESTIMATE[1].replace("'accrual'", "'own_ledger'"))
    assert checked(month, accrue=True)["estimates"].status == "fail"


def test_reopening_needs_a_name_and_a_reason_and_keeps_what_was_frozen(month, issued):
    with pytest.raises(TollbookError, match="not closed"):
        reopen(month, SEPTEMBER, "Ada", "why")
    first = close(month, SEPTEMBER, "Ada")
    for name, reason, said in (("", "why", "who approved"), ("Ada", " ", "say why")):
        with pytest.raises(TollbookError, match=said):
            reopen(month, SEPTEMBER, name, reason)
    reopen(month, SEPTEMBER, "Grace", "a bill was wrong")
    assert ask(month, "select event, approved_by, reason from ledger.period_events order by recorded_at")[1] == (
        "reopened",
        "Grace",
        "a bill was wrong",
    )
    assert ask(month, "select status, times_closed, closed_at from finance.dim_accounting_periods") == [("open", 1, first.closed_at)]
    second = close(month, SEPTEMBER, "Ada")
    assert (first.folder.name, second.folder.name) == ("2026-09", "2026-09-2") and second.closed_at > first.closed_at
    assert freeze.content_hash(first.folder) == first.content_hash and freeze.manifest_of(first.folder)
    assert [call[2].name for call in issued] == ["2026-09", "2026-09-2"]
    assert ask(month, "select times_closed from finance.dim_accounting_periods") == [(2,)]


def test_a_late_difference_is_posted_in_the_next_month_and_leaves_the_frozen_one(month, issued):
    report = close(month, SEPTEMBER, "Ada")
    with month.connect() as db:
        db.execute("create table late as from intermediate.int_ledger_lines")
        row = "select * replace ({} as posted_cost) from late where account = '{}' and billed_by = 'Lumen AI' and usage_date = '2026-09-10' limit 1"
        more = db.execute(f"select * from ({row.format(7, 'cost')}) union all ({row.format(-7, 'bridge')})").fetchall()
        db.executemany(f"insert into late values ({', '.join('?' * len(more[0]))})", more)
        db.execute("drop view intermediate.int_ledger_lines; alter table late rename to int_ledger_lines_late")
        db.execute("create view intermediate.int_ledger_lines as from int_ledger_lines_late")
        db.execute("insert into meta.unposted_days values ('2026-09-10')")
        ledger.post(db, "late")
    assert ask(month, "select accounting_period, account, usage_date, sum(posted_cost) from ledger.postings where run_id = 'late' group by all order by 4") == [
        (OCTOBER, "bridge", date(2026, 9, 10), -7), (OCTOBER, "cost", date(2026, 9, 10), 7)
    ]  # fmt: skip
    assert freeze.content_hash(report.folder) == report.content_hash
    assert dict(ask(month, "select status, charged_cost from finance.dim_accounting_periods")) == {"closed": 30516, "open": 7}


#: Where the close is killed: before or after what is called then.
POINTS = {
    "checked": ("ledger.next_moment", "before"),
    "waivers written": ("waivers.record", "after"),
    "half frozen": ("freeze._hash", "before"),
    "frozen": ("freeze.freeze", "after"),
    "folder in place": ("periods.record", "before"),
    "event written": ("periods.record", "after"),
    "committed": ("statements.issue", "before"),
}
KILLED = """
import os, signal, sys
from tests import close_cases
from tollbook.finance import close, freeze, ledger, periods, waivers
close_cases.install(close_cases.statements_that_note([]))
from tollbook.finance import statements
from tollbook.workspace import Workspace
from pathlib import Path
where, what, when = sys.argv[1:]
module, name = what.split(".")
module = locals()[module]
real, seen = getattr(module, name), []
def killing(*arguments, **named):
    seen.append(1)
    if when == "after":
        real(*arguments, **named)
    # the hash of the fourth file: three are written
    if name != "_hash" or len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)
setattr(module, name, killing)
close.close(Workspace.open(Path(where)), close_cases.SEPTEMBER, "Ada", waive=["deliveries:cloud_bill=an outage"])
"""


@pytest.mark.parametrize("point", POINTS)
def test_killed_it_leaves_an_open_month_or_a_closed_one_that_is_whole(month, issued, point):
    change(month, *LOST_DAYS)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(month.root), *POINTS[point]], capture_output=True, text=True, cwd=REPO, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    closed = ask(month, "select folder, content_hash, recorded_at from ledger.period_events")
    waived = ask(month, "select count(*) from ledger.waivers")
    if point == "committed":
        ((name, content_hash, closed_at),) = closed
        assert freeze.content_hash(month.closed / name) == content_hash and waived == [(1,)]
        assert freeze.manifest_of(month.closed / name)["known_at"] == closed_at.isoformat()
        with pytest.raises(TollbookError, match="its statements were not written"):
            close(month, SEPTEMBER, "Ada")
        return
    assert (closed, waived) == ([], [(0,)])
    report = close(month, SEPTEMBER, "Ada", waive=["deliveries:cloud_bill=an outage"])
    assert [path.name for path in month.closed.iterdir()] == ["2026-09"]
    assert json.loads((report.folder / freeze.MANIFEST).read_text())["known_at"] == report.closed_at.isoformat()
    assert freeze.content_hash(report.folder) == report.content_hash and ask(month, "select count(*) from ledger.waivers") == [(1,)]


def test_the_command_prints_the_checks_and_says_by_its_status_whether_it_would_close(month):
    good = tollbook("close", "2026-09", "--dry-run", "--workspace", month.root)
    assert good.returncode == 0 and "trial_balance" in good.stdout and "2026-09 can be closed. Nothing was changed." in good.stdout
    change(month, *LOST_DAYS)
    before = state(month)
    bad = tollbook("close", "2026-09", "--dry-run", "--workspace", month.root)
    assert bad.returncode == 1 and "cloud_bill" in bad.stdout and "2026-09 is not closed, 1 check did not pass" in bad.stderr
    assert state(month) == before
    refused = tollbook("close", "2026-09", "--approved-by", "Ada", "--workspace", month.root)
    assert refused.returncode == 1 and "quarantine" in refused.stdout and "deliveries" in refused.stderr


def test_a_month_that_was_never_run_says_so(tmp_path):
    shutil.copytree(REPO / "data" / "sample", tmp_path / "new", ignore=shutil.ignore_patterns("landing"))
    done = tollbook("close", "2026-09", "--dry-run", "--workspace", tmp_path / "new")
    assert done.returncode == 1 and "Run `tollbook run`" in done.stderr
