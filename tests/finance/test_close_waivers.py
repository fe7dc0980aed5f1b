"""``config/close_waivers.csv``: what is read of it, and how a mistake in it is told."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from tests.ledgers import OCTOBER, SEPTEMBER, scratch
from tollbook.errors import ConfigError
from tollbook.finance import accruals, close_checks, waivers
from tollbook.finance.close_checks import Check, Item
from tollbook.finance.waivers import Waiver

HEADER = "period,check,item,reason,approved_by,accrual_cost,team,billed_by\n"


@pytest.fixture
def read(workspace):
    def waivers_of(text: str | None, month: date = date(2026, 9, 1)):
        made = workspace("currency: USD\nsources: []\n", {} if text is None else {"config/close_waivers.csv": text})
        return waivers.of_file(made, month)

    return waivers_of


def test_an_amount_finer_than_a_coin_is_refused_for_the_month_that_is_closed(read, workspace):
    text = f"{HEADER}2026-09,unowned,share,why,Grace,120.555,,\n"
    assert read(text, date(2026, 10, 1)) == []
    made = workspace("currency: JPY\nsources: []\n", {"config/close_waivers.csv": text.replace("120.555", "120.5")})
    with pytest.raises(ConfigError, match="finer than the coin of JPY: say it to at most 0 decimals"):
        waivers.of_file(made, date(2026, 9, 1))


def test_the_waivers_of_the_month_with_every_digit(read):
    text = HEADER + (
        '2026-09,quarantine,bill:landing/x=1/y.csv,"two rows, known",Grace,"1,200.010000000000",search,Nimbus\n'
        " 2026-09 , deliveries ,gateway,an outage,Grace,,,\n"
        "2026-08,deliveries,gateway,an outage,Grace,5,,\n"
    )
    assert read(text) == [
        Waiver("quarantine", "bill:landing/x=1/y.csv", "two rows, known", "Grace", Decimal("1200.01"), "search", "Nimbus"),
        Waiver("deliveries", "gateway", "an outage", "Grace"),
    ]
    assert read(text, date(2026, 7, 1)) == []


@pytest.mark.parametrize("text", [None, "", HEADER, "period,check,item,reason,approved_by\n"])
def test_without_rows_nothing_is_waived(read, text):
    assert read(text) == []


def test_accrual_columns_may_be_absent(read):
    assert read("period,check,item,reason,approved_by\n2026-09,unowned,share,new accounts,Grace\n") == [
        Waiver("unowned", "share", "new accounts", "Grace")
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("September,unowned,share,why,Grace,,,", "row 2, column period: 'September' is no month"),
        ("2026-13,unowned,share,why,Grace,,,", "row 2, column period"),
        (
            "2026-09,trial_balance,x,why,Grace,,,",
            "row 2, column check: 'trial_balance' is not one of deliveries, invoices, unowned, quarantine",
        ),
        ("2026-09,accrual,bill to come,why,Grace,,,", "row 2, column accrual_cost: None is no cost to accrue"),
        ("2026-09,accrual,bill to come,why,Grace,0.00,,", "row 2, column accrual_cost: '0.00' is no cost to accrue"),
        ("2026-09,unowned,share,,Grace,,,", "row 2, column reason: None is missing"),
        ("2026-09,unowned,share,why, ,,,", "row 2, column approved_by"),
        ("2026-09,unowned,share,why,Grace,much,,", "row 2, column accrual_cost: 'much' is not a number"),
        (
            "2026-09,unowned,share,why,Grace,120.555,,",
            "row 2, column accrual_cost: '120.555' is finer than the coin of USD: say it to at most 2 decimals",
        ),
        ("2026-09,unowned,share,why,Grace,1.0000000000001,,", "row 2, column accrual_cost: '1.0000000000001' is finer"),
        ('2026-09,unowned,share,why,Grace,"$1,200.0000000000001",,', "row 2, column accrual_cost: '$1,200.0000000000001' is finer"),
        ("2026-09,deliveries,gateway,again,Grace,,,", "row 2, column item: 'gateway' is waived twice"),
    ],
)
def test_a_mistake_names_row_and_column(read, row, said):
    with pytest.raises(ConfigError) as refused:
        read(f"{HEADER}2026-09,deliveries,gateway,why,Grace,,,\n{row}\n")
    assert said in str(refused.value) and "close_waivers.csv" in str(refused.value)


def test_an_accrual_needs_nothing_that_a_check_found():
    to_come = Waiver("accrual", "consulting-invoice", "bill to come", "Grace", Decimal(500), "research", "Acme")
    idle = Waiver("unowned", "share", "new accounts", "Grace", Decimal(5))
    found = Check("unowned", "fail", "", "", items=(Item("share", "12%"),))
    assert waivers.needed([to_come, idle], []) == [to_come]
    assert waivers.needed([to_come, idle], [found]) == [to_come, idle]


@pytest.fixture
def db():
    return scratch({"research": "CC-100"})


def test_what_will_be_accrued_is_told_with_its_sum(db):
    two = [
        Waiver("accrual", "consulting-invoice", "bill to come", "Grace", Decimal(500), "Research", "Acme"),
        Waiver("unowned", "share", "new accounts", "Grace", Decimal("-20.50")),
        Waiver("deliveries", "gateway", "an outage", "Grace"),
    ]
    check = waivers.accrual(db, SEPTEMBER, two, "USD")
    assert (check.check_id, check.status) == ("accrual", "pass")
    assert check.observed == (
        "accrual:consulting-invoice: 500.00 USD, research, Acme; unowned:share: -20.50 USD, unowned, no biller; 479.50 USD in all"
    )
    accruals.book(db, "close-1", datetime(2026, 10, 5), SEPTEMBER, waivers.to_accrue(db, SEPTEMBER, two, "USD"))
    assert "unowned:share: accrued before, taken back; 500.00 USD in all" in waivers.accrual(db, SEPTEMBER, two[:1], "USD").observed
    # once taken back, it is told no more
    accruals.book(db, "close-2", datetime(2026, 10, 6), SEPTEMBER, waivers.to_accrue(db, SEPTEMBER, two[:1], "USD"))
    assert "taken back" not in waivers.accrual(db, SEPTEMBER, two[:1], "USD").observed
    assert waivers.accrual(db, OCTOBER, two[2:], "USD").observed == "nothing is accrued by hand"


def test_what_cannot_be_accrued_fails_before_the_close(db):
    check = waivers.accrual(db, SEPTEMBER, [Waiver("accrual", "x", "why", "Grace", Decimal(1), "nobody-such")], "USD")
    assert check.status == "fail" and "no team 'nobody-such'" in check.observed and "close_waivers.csv" in check.advice


@pytest.mark.parametrize(
    ("ratio", "said"), [(0.1, "10%"), (0.001, "0.1%"), (0.00025, "0.025%"), (1e-05, "0.001%"), (1.0, "100%"), (0, "0%")]
)
def test_a_limit_is_told_with_every_digit(ratio, said):
    assert close_checks._percent(ratio) == said


def test_missing_and_unknown_columns_are_named(read):
    with pytest.raises(ConfigError, match="column missing or unknown: approved_by, who"):
        read("period,check,item,reason,who\n2026-09,unowned,share,why,Grace\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{HEADER}2026-09,deliveries,gateway,outage, on the 12th,Ann,,,\n".encode(), "row 1 has 9 cells, the header 8"),
        (f"{HEADER}2026-09,deliveries,gateway,Störung,Ann,,,\n".encode("latin-1"), "is not UTF-8"),
    ],
)
def test_a_file_that_a_table_program_saved_in_another_form_is_named_with_its_fault(workspace, content, said):
    opened = workspace("currency: USD\nsources: []\n", {"config/close_waivers.csv": content})
    with pytest.raises(ConfigError, match=said):
        waivers.of_file(opened, date(2026, 9, 1))
