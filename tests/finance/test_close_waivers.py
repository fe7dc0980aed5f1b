"""``config/close_waivers.csv``: what is read of it, and how a mistake in it is told."""

from datetime import date
from decimal import Decimal

import pytest

from tollbook.errors import ConfigError
from tollbook.finance import waivers
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


def test_missing_and_unknown_columns_are_named(read):
    with pytest.raises(ConfigError, match="column missing or unknown: approved_by, who"):
        read("period,check,item,reason,who\n2026-09,unowned,share,why,Grace\n")
