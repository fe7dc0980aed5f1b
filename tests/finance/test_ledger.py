"""Postings, with exact figures: what is posted, to which month, with which reason, and what is refused."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests import scratch_ledgers as ledgers
from tests.scratch_ledgers import assert_balanced, build, charge, charged, close, deliver, posted, unlike_computed
from tollbook.errors import TollbookError
from tollbook.finance import ledger

D = Decimal
MAY = "2026-05-03"


@pytest.fixture
def db():
    with ledgers.write() as opened:
        yield opened


@pytest.fixture
def may(db):
    """May posted: 100 to red, 50 to blue."""
    deliver(db, [MAY])
    charge(db, MAY, "red", 100)
    charge(db, MAY, "blue", 50)
    night(db, "may")
    return db


def night(db, run_id, *days, **state):
    """Build and post; what was posted of charges. The ledger balances, and is what is computed."""
    build(db, *days, **state)
    ledger.post(db, run_id)
    assert_balanced(db)
    assert unlike_computed(db) == []
    return posted(db, run_id)


def recompute(db, cost, team="red", day=MAY):
    db.execute("update charges set cost = ? where team = ? and usage_date = ?", [cost, team, day])


def test_a_first_posting_debits_who_pays_and_credits_the_invoice(db):
    charge(db, MAY, "red", 100, invoice_id="INV-5", cost_centre="CC-1")
    charge(db, MAY, None, "20.5", invoice_id="INV-5", component="Tax", bucket="unowned")
    night(db, "r1")
    rows = db.execute(
        "select posting_id, account, basis, team, invoice_id, reason, accounting_period::varchar, posted_cost from ledger.postings order by 1"
    ).fetchall()
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert sorted((row[1:] for row in rows), key=str) == [
        ("bridge", "billed", None, None, "usage", "2026-05-01", D("-120.5")),
        ("bridge", "invoiced", None, None, "usage", "2026-05-01", D("120.5")),
        ("clearing", "invoiced", None, "INV-5", "usage", "2026-05-01", D("-120.5")),
        ("cost", "billed", "red", None, "usage", "2026-05-01", 100),
        ("tax", "billed", None, None, "usage", "2026-05-01", D("20.5")),
    ]


def test_posting_again_posts_nothing_but_that_it_was_looked(may):
    assert night(may, "again") == []
    assert may.execute("select run_id, postings from ledger.runs order by recorded_at").fetchall() == [("may", 5), ("again", 0)]
    assert ledger.is_posted(may)


def test_days_that_were_not_built_are_left_alone(may):
    charge(may, "2026-05-04", "red", 7)
    build(may, MAY)
    assert ledger.post(may, "r2").postings == 0
    assert night(may, "r3", "2026-05-04") == [("2026-05", "2026-05-04", "red", "usage", 7)]


def test_days_of_several_builds_are_posted_together(may):
    recompute(may, 90)
    build(may, MAY)
    charge(may, "2026-05-04", "red", 7)
    assert night(may, "r2", "2026-05-04") == [
        ("2026-05", MAY, "red", "usage", -10),
        ("2026-05", "2026-05-04", "red", "usage", 7),
    ]


def test_a_correction_is_posted_in_its_month_while_that_is_open(may):
    deliver(may, [MAY])
    recompute(may, 80)
    assert night(may, "r2") == [("2026-05", MAY, "red", "correction", -20)]


def test_a_correction_of_a_closed_month_is_posted_in_the_next_with_its_day_of_usage(may):
    closed = close(may, MAY)
    before = may.execute("select * from ledger.postings where accounting_period = '2026-05-01' order by posting_id").fetchall()
    deliver(may, [MAY])
    recompute(may, 80)
    assert night(may, "r2") == [("2026-06", MAY, "red", "correction", -20)]
    # the bill's side too: its month is closed
    assert may.execute(
        "select account, accounting_period::varchar, billing_period::varchar, posted_cost from ledger.postings"
        " where run_id = 'r2' and basis = 'invoiced' order by 1"
    ).fetchall() == [("bridge", "2026-06-01", "2026-05-01", -20), ("clearing", "2026-06-01", "2026-05-01", 20)]
    assert may.execute("select * from ledger.postings where accounting_period = '2026-05-01' order by posting_id").fetchall() == before
    assert charged(may, until=closed) == {"red": 100, "blue": 50}
    assert charged(may) == {"red": 80, "blue": 50}


def test_a_day_that_is_gone_is_taken_back_as_a_correction(may):
    charge(may, "2026-05-04", "red", 7)
    night(may, "r2")
    # the bill comes again without the 4th
    deliver(may, [MAY])
    may.execute("delete from charges where usage_date = '2026-05-04'")
    assert night(may, "r3") == [("2026-05", "2026-05-04", "red", "correction", -7)]


def test_what_follows_closed_months_goes_to_the_first_open_one(may):
    charge(may, "2026-06-01", "red", 1)
    night(may, "june")
    close(may, MAY)
    close(may, "2026-06")
    recompute(may, 80)
    charge(may, "2026-06-02", "red", 3)
    assert night(may, "r3") == [("2026-07", MAY, "red", "correction", -20), ("2026-07", "2026-06-02", "red", "late_bill", 3)]


def test_a_month_in_which_nothing_was_posted_is_open(may):
    charge(may, "2026-07-01", "red", 1)
    night(may, "july")
    close(may, MAY)
    close(may, "2026-07")
    recompute(may, 80)
    charge(may, "2026-07-02", "red", 3)
    assert night(may, "r3") == [("2026-06", MAY, "red", "correction", -20), ("2026-08", "2026-07-02", "red", "late_bill", 3)]
    with pytest.raises(TollbookError, match="2026-08 is not closed: 2026-06 is still open"):
        close(may, "2026-08")


def test_usage_of_a_month_to_come_is_posted_there(may):
    close(may, MAY)
    charge(may, "2027-01-01", "red", 12)
    assert night(may, "r2") == [("2027-01", "2027-01-01", "red", "usage", 12)]


def test_a_month_that_is_reopened_takes_its_own_corrections_again(may):
    close(may, MAY)
    deliver(may, [MAY])
    recompute(may, 80)
    night(may, "in june")
    close(may, MAY, "reopened")
    recompute(may, 70)
    assert night(may, "r3") == [("2026-05", MAY, "red", "usage", -10)]
    close(may, MAY)
    recompute(may, 75)
    assert night(may, "r4") == [("2026-06", MAY, "red", "correction", 5)]


def test_a_bill_of_a_closed_month_that_had_none_is_late(may):
    close(may, MAY)
    deliver(may, [MAY], source="storage")
    charge(may, MAY, "red", 30, source_name="storage")
    assert night(may, "r2") == [("2026-06", MAY, "red", "late_bill", 30)]


def test_a_later_bill_that_corrects_a_month_is_a_correction_on_each_day_it_is_spread_over(may):
    close(may, MAY)
    days = ledgers.days_of("2026-05")
    deliver(may, days, partition="june")
    may.execute("insert into finance.fct_charges values ('bill', '2026-05-01', '2026-06-01', '2026-06-01', 'Correction')")
    for day in days:
        charge(may, day, "red", "-1.5", billing_period="2026-06-01")
    rows = night(may, "r2")
    assert {(period, reason) for period, _, _, reason, _ in rows} == {("2026-06", "correction")}
    assert (len(rows), sum(row[4] for row in rows)) == (31, D("-46.5"))


def test_usage_that_comes_with_a_correction_of_the_same_day_is_usage(db):
    db.execute(
        "insert into finance.fct_charges values ('bill', '2026-05-03', '2026-05-04', '2026-05-01', 'Correction'),"
        " ('bill', '2026-05-03', null, '2026-05-01', null)"
    )
    charge(db, MAY, "red", 95)
    assert night(db, "r1") == [("2026-05", MAY, "red", "usage", 95)]


@pytest.mark.parametrize(("closed", "month"), [(False, "2026-05"), (True, "2026-06")])
@pytest.mark.parametrize("provider", ["OpenAI", None])
def test_an_estimate_goes_when_its_bill_comes_and_the_difference_is_a_true_up(db, closed, month, provider):
    deliver(db, [MAY], "gateway", "requests")
    charge(db, MAY, "red", 40, source_name="gateway", billed_by=provider, basis="estimated")
    assert night(db, "r1") == [("2026-05", MAY, "red", "usage", 40)]
    assert db.execute("select distinct account from ledger.postings order by 1").fetchall() == [("accrual",), ("cost",)]
    if closed:
        close(db, MAY)
    deliver(db, [MAY], "bill")
    db.execute("delete from charges")
    charge(db, MAY, "red", "41.25", billed_by=provider)
    assert night(db, "r2") == [(month, MAY, "red", "true_up", -40), (month, MAY, "red", "true_up", D("41.25"))]
    assert db.execute("select coalesce(sum(posted_cost), 0) from ledger.postings where account = 'accrual'").fetchone() == (0,)


def test_a_bill_of_nothing_trues_an_estimate_up_too(db):
    charge(db, MAY, "red", 40, source_name="gateway", basis="estimated")
    night(db, "r1")
    deliver(db, [MAY], "bill")
    db.execute("delete from charges")
    assert night(db, "r2") == [("2026-05", MAY, "red", "true_up", -40)]


def test_an_estimate_that_falls_without_a_bill_is_no_true_up(db):
    deliver(db, [MAY], "gateway", "requests")
    charge(db, MAY, "red", 40, source_name="gateway", basis="estimated")
    night(db, "r1")
    deliver(db, [MAY], "gateway", "requests")
    recompute(db, 30)
    assert night(db, "r2") == [("2026-05", MAY, "red", "correction", -10)]


@pytest.mark.parametrize(("closed", "month"), [(False, "2026-05"), (True, "2026-06")])
@pytest.mark.parametrize(("state", "reason"), [({"config": "rules 2"}, "rule_change"), ({"models": "models 2"}, "method_change")])
def test_changed_rules_and_methods_move_money(may, state, reason, closed, month):
    if closed:
        close(may, MAY)
    recompute(may, 60)
    recompute(may, 90, "blue")
    assert night(may, "r2", **state) == [(month, MAY, "blue", reason, 40), (month, MAY, "red", reason, -40)]


def test_a_rules_new_version_is_posted_and_moves_nothing(may):
    close(may, MAY)
    may.execute("update charges set rule = 'owners/tag@2'")
    assert [row[2:] for row in night(may, "r2", config="rules 2")] == [
        ("blue", "rule_change", -50),
        ("blue", "rule_change", 50),
        ("red", "rule_change", -100),
        ("red", "rule_change", 100),
    ]
    assert charged(may) == {"red": 100, "blue": 50}


def test_a_delivery_goes_before_a_changed_rule_on_its_days_only(may):
    charge(may, "2026-05-04", "red", 7)
    night(may, "r2")
    deliver(may, ["2026-05-04"], partition="4th")
    recompute(may, 99)
    recompute(may, 8, day="2026-05-04")
    assert night(may, "r3", config="rules 2") == [
        ("2026-05", MAY, "red", "rule_change", -1),
        ("2026-05", "2026-05-04", "red", "correction", 1),
    ]


def test_another_sources_bill_of_the_day_is_no_reason_telemetry_is(may):
    deliver(may, [MAY], source="storage")
    recompute(may, 90)
    assert night(may, "r2")[0][3] == "usage"
    deliver(may, [MAY], source="pods", table="holdings")
    recompute(may, 80)
    assert night(may, "r3")[0][3] == "correction"


def test_a_price_list_corrects_estimates_on_whatever_day(may):
    charge(may, MAY, "red", 40, source_name="gateway", basis="estimated")
    night(may, "r2")
    deliver(may, [], source="books", table="prices")
    may.execute("update charges set cost = 36 where basis = 'estimated'")
    assert night(may, "r3", MAY) == [("2026-05", MAY, "red", "correction", -4)]


def test_what_came_after_the_build_counts_for_the_next_posting(may):
    recompute(may, 90)
    build(may)
    deliver(may, [MAY])
    ledger.post(may, "r2")
    recompute(may, 80)
    assert night(may, "r3") == [("2026-05", MAY, "red", "correction", -10)]


def test_digits_past_the_twelfth_are_rounding(db):
    charge(db, MAY, "rounding", "0.000000000001", bucket="rounding", component="rounding")
    night(db, "r1")
    assert db.execute("select reason, posted_cost from ledger.postings where account = 'rounding'").fetchall() == [
        ("rounding", D("0.000000000001"))
    ]


def test_an_invoice_that_is_named_later_moves_between_clearing_accounts(may):
    close(may, MAY)
    deliver(may, [MAY])
    may.execute("update charges set invoice_id = 'INV-5'")
    assert night(may, "r2") == []
    assert posted(may, "r2", "account = 'clearing'") == [
        ("2026-06", MAY, None, "correction", -150),
        ("2026-06", MAY, None, "correction", 150),
    ]
    balance = "select invoice_id, sum(posted_cost) from ledger.postings where account = 'clearing' group by 1 having sum(posted_cost) <> 0"
    assert may.execute(balance).fetchall() == [("INV-5", -150)]


def test_another_currency_is_posted_beside_and_each_balances(may):
    may.execute("update charges set currency_code = 'EUR', cost = cost * 0.9")
    night(may, "r2", config="rules 2")
    assert charged(may, "currency_code") == {"EUR": 135}
    uneven = "select currency_code from ledger.postings group by 1 having sum(posted_cost) <> 0"
    assert may.execute(uneven).fetchall() == []


def test_nothing_is_posted_where_it_does_not_add_up(may):
    before = everything(may)
    lines = may.execute("select sql from duckdb_views() where view_name = 'int_ledger_lines'").fetchone()[0]
    recompute(may, 90)
    may.execute("create or replace table lost as from intermediate.int_ledger_lines")
    may.execute("update lost set posted_cost = 91 where team = 'red'")
    may.execute("create or replace view intermediate.int_ledger_lines as from lost")
    build(may)
    with pytest.raises(TollbookError, match=r"to 2026-05 add up to 1\.0+ USD, not to 0: nothing was posted"):
        ledger.post(may, "r2")
    assert everything(may) == before
    assert not ledger.is_posted(may)
    # mended, the same days are posted
    may.execute(lines.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))
    ledger.post(may, "r3")
    assert posted(may, "r3") == [("2026-05", MAY, "red", "usage", -10)]


def everything(db):
    return [db.execute(f"select * from ledger.{table} order by all").fetchall() for table in ("postings", "runs", "period_events")]


def by_hand(month, cost, currency="USD"):
    return (
        f"select date '{month}-01' as accounting_period, 'accrual' as reason, 'cost' as account, date '{MAY}' as usage_date,"
        f" {ledger_keys('account', 'usage_date', 'currency_code')}, '{currency}' as currency_code, {cost}::decimal(38, 12) as posted_cost"
    )


def ledger_keys(*but):
    return ", ".join(f"null::{kind} as {name}" for name, kind in ledger.KEYS.items() if name not in but)


def test_postings_by_hand_balance_in_each_period_and_currency_and_leave_closed_periods_alone(may):
    close(may, MAY)
    moment = ledger.next_moment(may)
    for rows, said in (
        (by_hand("2026-06", 5), "2026-06 add up to 5"),
        (f"{by_hand('2026-06', 5)} union all {by_hand('2026-07', -5)}", "2026-06 add up to 5"),
        (f"{by_hand('2026-06', 5)} union all {by_hand('2026-06', -5, 'EUR')}", "2026-06 add up to -5"),
        (f"{by_hand('2026-05', 5)} union all {by_hand('2026-05', -5)}", "2026-05 is closed"),
    ):
        with pytest.raises(TollbookError, match=said):
            ledger.append(may, "hand", moment, rows)
    assert may.execute("select count(*) from ledger.postings where run_id = 'hand'").fetchone() == (0,)


def test_postings_by_hand_are_not_taken_back_by_the_models(may):
    ledger.append(may, "hand", ledger.next_moment(may), f"{by_hand('2026-05', 5)} union all {by_hand('2026-05', -5)}")
    build(may)
    assert ledger.post(may, "r2").postings == 0


def test_moments_order_what_is_known_whatever_the_clock_does(may):
    # the clock was a day ahead when May was posted
    may.execute("update ledger.runs set recorded_at = recorded_at + interval 1 day, built_at = built_at + interval 1 day")
    may.execute("update ledger.postings set recorded_at = recorded_at + interval 1 day")
    (ahead,) = may.execute("select max(recorded_at) from ledger.runs").fetchone()
    recompute(may, 80)
    build(may)
    assert not ledger.is_posted(may)
    assert ledger.post(may, "r2").recorded_at == ahead + timedelta(microseconds=1)
    assert ledger.is_posted(may)
    assert charged(may, until=ahead) == {"red": 100, "blue": 50}
    assert close(may, MAY) == ahead + timedelta(microseconds=2)
