"""What a month is closed without: accruals by hand and their reversal, and estimates until their bill comes."""

from datetime import date
from decimal import Decimal

import pytest

from tests.ledgers import OCTOBER, SEPTEMBER, balance, close, line, other_side, post, scratch
from tollbook.errors import TollbookError
from tollbook.finance import accruals, ledger

DAY = date(2026, 9, 7)
ITEM = {
    "item": "Nimbus 2026-09-30",
    "reason": "the last day of the bill is not in",
    "cost": Decimal("420.50"),
    "team": "research",
    "billed_by": "Nimbus",
    "currency_code": "USD",
}


@pytest.fixture
def db():
    made = scratch({"research": "CC-100", "search": "CC-200"})
    post(made, "night-1", [line("100", DAY, team="research", cost_centre="CC-100"), other_side("bridge", "-100", DAY)])
    return made


def book(db, *items, period=SEPTEMBER, run_id="close-1"):
    db.begin()
    try:
        count = accruals.book(db, run_id, ledger.next_moment(db), period, items)
        db.commit()
    except TollbookError:
        db.rollback()
        raise
    return count


def hand_made(db):
    return db.execute(
        "select reason, accounting_period, usage_date, billing_period, account, team, cost_centre, bucket, component, source_name, billed_by,"
        " basis, rule, posted_cost from ledger.postings where reason in ('accrual', 'accrual_reversal') order by reason, account"
    ).fetchall()


def test_an_accrual_is_a_cost_of_its_month_and_is_taken_back_in_the_next(db):
    assert book(db, ITEM) == 4
    ends = ("(close)", "Nimbus", "estimated", "accrual/Nimbus 2026-09-30")
    cost = Decimal("420.50")
    last = date(2026, 9, 30)
    assert hand_made(db) == [
        ("accrual", SEPTEMBER, last, SEPTEMBER, "accrual", None, None, None, None, *ends, -cost),
        ("accrual", SEPTEMBER, last, SEPTEMBER, "cost", "research", "CC-100", "allocated", "accrual", *ends, cost),
        ("accrual_reversal", OCTOBER, last, SEPTEMBER, "accrual", None, None, None, None, *ends, cost),
        ("accrual_reversal", OCTOBER, last, SEPTEMBER, "cost", "research", "CC-100", "allocated", "accrual", *ends, -cost),
    ]
    # by month of usage, as finance.fct_chargeback sums, it is gone; the accounting months show when
    by_month = "bucket is not null and component = 'accrual' and date_trunc('month', {}) = date '{}'"
    assert [balance(db, by_month.format("usage_date", month)) for month in (SEPTEMBER, OCTOBER)] == [0, 0]
    assert [balance(db, by_month.format("accounting_period", month)) for month in (SEPTEMBER, OCTOBER)] == [cost, -cost]
    assert balance(db, "accounting_period = date '2026-09-01'") == 0


def test_by_month_of_usage_the_ledger_is_what_the_models_say(db):
    book(db, ITEM)
    close(db, SEPTEMBER)
    post(db, "night-2", [line("520", DAY, team="research", cost_centre="CC-100"), other_side("bridge", "-520", DAY)])
    months = "select date_trunc('month', usage_date), sum(posted_cost) from {} where bucket is not null group by all having sum(posted_cost) <> 0 order by 1"
    held, said = (db.execute(months.format(table)).fetchall() for table in ("ledger.postings", "intermediate.int_ledger_lines"))
    assert held == said and said[0][1] == 520


def test_without_a_team_it_is_unowned_and_an_expected_credit_is_below_0(db):
    book(db, ITEM | {"team": None, "billed_by": None, "cost": Decimal("-7.120000000000")})
    assert [(row[5], row[6], row[7], row[-1]) for row in hand_made(db) if row[0] == "accrual" and row[4] == "cost"] == [
        ("unowned", None, "unowned", Decimal("-7.12"))
    ]


def test_the_cost_centre_is_that_of_the_months_end(db):
    db.execute("update config.teams set valid_to = date '2026-09-20' where team = 'search'")
    db.execute("insert into config.teams values ('search', 'CC-250', date '2026-09-20', null)")
    book(db, ITEM | {"team": "SEARCH"})
    assert {(row[5], row[6]) for row in hand_made(db) if row[4] == "cost"} == {("search", "CC-250")}


def test_the_nights_after_leave_an_accrual_alone(db):
    book(db, ITEM)
    close(db, SEPTEMBER)
    assert post(db, "night-2").postings == 0
    db.execute("insert into config.policies values ('materiality_threshold', '1000', null, null)")
    lines = [line("130", DAY, team="research", cost_centre="CC-100"), other_side("bridge", "-130", DAY)]
    post(db, "night-3", lines)
    assert len(hand_made(db)) == 4
    assert balance(db) == 0
    # 30 more are too little for a closed month: they collect, in October, beside the reversal
    assert balance(db, "bucket = 'immaterial'") == 30
    assert post(db, "night-4", lines).postings == 0


def test_the_reversal_goes_past_a_month_that_is_closed(db):
    november = date(2026, 11, 1)
    # October can be closed before September only while September has no posting
    made = scratch({"research": "CC-100"})
    close(made, OCTOBER)
    book(made, ITEM)
    last = date(2026, 9, 30)
    assert {row[:3] for row in hand_made(made)} == {("accrual", SEPTEMBER, last), ("accrual_reversal", november, last)}


def test_booking_again_brings_an_item_to_what_is_said_now(db):
    book(db, ITEM)
    assert book(db, ITEM, run_id="close-2") == 0
    assert book(db, ITEM | {"cost": Decimal("400"), "team": "search"}, run_id="close-3") == 6
    at = "component = 'accrual' and accounting_period = date '{}' and team = '{}'"
    assert [balance(db, at.format(SEPTEMBER, team)) for team in ("research", "search")] == [0, 400]
    assert [balance(db, at.format(OCTOBER, team)) for team in ("research", "search")] == [0, -400]
    book(db, ITEM | {"cost": Decimal("0")}, run_id="close-4")
    assert balance(db, at.format(SEPTEMBER, "search")) == 0
    assert [balance(db, f"account = 'accrual' and accounting_period = date '{month}'") for month in (SEPTEMBER, OCTOBER)] == [0, 0]


def test_a_reversal_of_another_day_is_brought_to_that_of_its_accrual(db):
    book(db, ITEM)
    db.execute("update ledger.postings set usage_date = accounting_period where reason = 'accrual_reversal'")
    book(db, ITEM | {"cost": Decimal("400")}, run_id="close-2")
    sums = "select {}, sum(posted_cost) from ledger.postings where bucket is not null and component = 'accrual' group by 1 order by 1"
    assert dict(db.execute(sums.format("usage_date")).fetchall()) == {date(2026, 9, 30): 0, OCTOBER: 0}
    assert dict(db.execute(sums.format("accounting_period")).fetchall()) == {SEPTEMBER: 400, OCTOBER: -400}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cost": 420.5}, "no amount"),
        ({"cost": Decimal("120.555")}, "120.555 is finer than the coin of USD: at most 2 decimals"),
        ({"cost": Decimal("NaN")}, "no amount"),
        ({"cost": Decimal("1e26")}, "no amount"),
        ({"item": " "}, "say what it is"),
        ({"reason": ""}, "say why"),
        ({"team": "reserch"}, "no team 'reserch'"),
        ({"team": "Idle"}, "is a bucket"),
        ({"currency_code": "EUR"}, "its currency is EUR; the ledger is in USD"),
        ({"note": "more"}, "it has note"),
    ],
)
def test_what_cannot_be_booked_is_refused_and_nothing_is_written(db, changed, said):
    before = balance(db, "bucket is not null")
    with pytest.raises(TollbookError, match=said) as refused:
        book(db, ITEM | {"item": "first"}, ITEM | changed)
    assert "item 2" in str(refused.value)
    assert balance(db, "bucket is not null") == before and hand_made(db) == []


def test_one_name_for_two_items_a_day_within_a_month_and_a_closed_month_are_refused(db):
    with pytest.raises(TollbookError, match="named twice: Nimbus 2026-09-30"):
        book(db, ITEM, ITEM)
    with pytest.raises(TollbookError, match="not the first day"):
        book(db, ITEM, period=DAY)
    close(db, SEPTEMBER)
    with pytest.raises(TollbookError, match="2026-09 is closed"):
        book(db, ITEM)
    assert hand_made(db) == []


@pytest.mark.parametrize(("currency", "cost", "decimals"), [("JPY", "100.5", 0), ("KWD", "1.2345", 3)])
def test_the_coin_is_that_of_the_currency(currency, cost, decimals):
    db = scratch({"research": "CC-100"})
    db.execute("update config.workspace set currency_code = ?", [currency])
    item = ITEM | {"currency_code": currency}
    with pytest.raises(TollbookError, match=f"coin of {currency}: at most {decimals} decimals"):
        book(db, item | {"cost": Decimal(cost)})
    # as many digits as a posting holds
    assert book(db, item | {"cost": round(Decimal(cost), decimals)}) == 4
    assert book(db, item | {"item": "large", "cost": Decimal("9" * 25 + f".{'1' * decimals}")}) == 4


def estimate(cost):
    return [
        line(cost, DAY, basis="estimated", source_name="gateway", team="research"),
        other_side("accrual", f"-{cost}", DAY, basis="estimated", source_name="gateway"),
    ]


def bill(cost, month=SEPTEMBER):
    asked = {"basis": "invoiced", "billing_period": month, "invoice_id": "N-9"}
    return [
        line(cost, DAY, team="research", billing_period=month),
        other_side("bridge", f"-{cost}", DAY, billing_period=month),
        other_side("bridge", cost, DAY, basis="invoiced", billing_period=month),
        other_side("clearing", f"-{cost}", DAY, **asked),
    ]


@pytest.fixture
def estimated():
    """60 of a vendor's usage whose bill is not in, and September is closed."""
    made = scratch({"research": "CC-100"})
    assert post(made, "night-1", estimate("60")).by_reason == {"usage": Decimal("60")}
    assert balance(made, "account = 'accrual' and accounting_period = date '2026-09-01'") == -60
    close(made, SEPTEMBER)
    return made


@pytest.mark.parametrize("month", [SEPTEMBER, OCTOBER])
def test_unbilled_usage_is_accrued_and_the_bill_trues_it_up_in_the_open_month(estimated, month):
    posted = post(estimated, "night-2", bill("72.5", month))
    assert posted.by_reason == {"true_up": Decimal("12.5")}
    assert balance(estimated) == 0
    assert balance(estimated, "account = 'accrual'") == 0
    # the closed month stays as it was, to the row
    assert balance(estimated, "bucket is not null and accounting_period = date '2026-09-01'") == 60
    assert estimated.execute("select distinct run_id from ledger.postings where accounting_period = ?", [SEPTEMBER]).fetchall() == [
        ("night-1",)
    ]
    # the difference is October's, of the day of usage
    assert estimated.execute(
        "select usage_date, basis, reason, posted_cost from ledger.postings where accounting_period = ? and bucket is not null order by 4",
        [OCTOBER],
    ).fetchall() == [(DAY, "estimated", "true_up", Decimal("-60")), (DAY, "billed", "true_up", Decimal("72.5"))]
    assert balance(estimated, "account = 'clearing' and accounting_period = date '2026-10-01'") == Decimal("-72.5")
    assert post(estimated, "night-3").postings == 0


def test_while_the_month_is_open_the_estimate_goes_in_its_own_month():
    db = scratch()
    post(db, "night-1", estimate("60"))
    post(db, "night-2", bill("72.5"))
    assert db.execute("select distinct accounting_period from ledger.postings").fetchall() == [(SEPTEMBER,)]
    assert balance(db, "account = 'accrual'") == 0
    assert balance(db, "bucket is not null") == Decimal("72.5")
