"""Invoices beside their billing lines, through the loaders: what ties out, what does not, and what is named for it."""

import os
from datetime import date
from decimal import Decimal

import pytest

from tests.workspaces import quiet, write_workspace
from tollbook import pipeline

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: ledger, format: focus, path: landing/ledger/*.csv, own: true}
  - {name: details, format: focus_invoice_detail, path: landing/details/*.csv}
  - {name: totals, table: invoices, path: landing/totals/*.csv}
"""
LINE = (
    "BilledCost,BillingCurrency,BillingPeriodStart,ChargePeriodStart,InvoiceIssuerName,InvoiceId,InvoiceDetailId,ChargeClass,"
    "BillingAccountId,EffectiveCost,BillingPeriodEnd,ChargePeriodEnd,ChargeCategory,ProviderName\n"
)
DETAIL = (
    "InvoiceIssuerName,InvoiceId,InvoiceDetailId,BilledCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ReferenceInvoiceId,"
    "InvoiceIssueStatus,PaymentCurrency,PaymentCurrencyBilledCost,BillingAccountId\n"
)
TOTAL = "invoice_issuer_name,invoice_id,billed_cost,billing_currency,billing_period_start,billing_period_end,billing_account_id\n"


def month(number):
    return f"2025-{number:02d}-01"


def line(cost, issuer, invoice="", detail="", period=1, used=None, currency="USD", provider="Acme", charge_class="", account="acct"):
    used = used or period
    end, used_end = month(period + 1), f"2025-{used:02d}-02"
    head = f"{cost},{currency},{month(period)},{month(used)},{issuer},{invoice},{detail},{charge_class},{account}"
    return f"{head},{cost},{end},{used_end},Usage,{provider}\n"


def detail(issuer, invoice, detail_id, cost, period=1, refers="", status="Issued", paid="USD", paid_cost=None, currency="USD"):
    paid_cost = cost if paid_cost is None else paid_cost
    ends = f"{month(period)},{month(period + 1)},{refers or invoice},{status},{paid},{paid_cost},acct"
    return f"{issuer},{invoice},{detail_id},{cost},{currency},{ends}\n"


def total(issuer, invoice, cost, period=1, currency="USD", account="acct"):
    return f"{issuer},{invoice},{cost},{currency},{month(period)},{month(period + 1)},{account}\n"


BILL = [
    # KA-13: January's usage was overstated by 50; February's credit note takes it back, for January's use
    line("150.00", "Ka13", "INV-JAN"),
    line("-50.00", "Ka13", "INV-FEB", period=2, used=1, charge_class="Correction"),
    # 3 x 0.334 = 1.002 is invoiced as 1.00; each of two details of 0.335 is rounded by itself: 0.34 + 0.34, not 0.67
    *[line("0.334", "Cents", "C-1") for _ in range(3)],
    line("0.335", "Cents", "C-2", "a"),
    line("0.335", "Cents", "C-2", "b"),
    line("100.4", "Cents", "C-YEN", currency="JPY"),
    # two lines of three reached the bill; one more has no invoice, one has an invoice that does not exist
    line("10", "Missing", "M-1", "a"),
    line("20", "Missing", "M-1", "b"),
    line("5", "Missing"),
    line("7", "Missing", "M-404"),
    line("0", "Missing"),
    # another account of the issuer, not billed yet: open, nothing wrong
    line("11", "Missing", account="other"),
    # one invoice in two billing currencies; another invoice is in euro, its lines in dollars
    line("3.03", "Currencies", "X-1"),
    line("2.50", "Currencies", "X-1", currency="EUR"),
    line("9", "Currencies", "X-2"),
    # known under the name that bills, not under the line's issuer
    line("4", "Alias Inc.", "A-1", provider="Alias"),
    # nobody ever delivered an invoice of this issuer
    line("8", "Silent", "S-1"),
    # a quarterly invoice states each month; void and provisional ones
    line("1", "Spans", "Q-1", period=1),
    line("2", "Spans", "Q-1", period=2),
    line("6", "States", "P-1"),
]
DETAILS = [
    detail("Ka13", "INV-JAN", "Line-100", "150.00"),
    detail("Ka13", "INV-FEB", "ADJ-001", "-50.00", period=2, refers="INV-JAN"),
    detail("Cents", "C-2", "a", "0.34"),
    detail("Cents", "C-2", "b", "0.34"),
    detail("Missing", "M-1", "a", "10"),
    detail("Missing", "M-1", "b", "20"),
    detail("Missing", "M-1", "c", "30"),
    detail("Currencies", "X-1", "a", "3.03", paid="AUD", paid_cost="0"),
    detail("Currencies", "X-1", "agg", "0", paid="AUD", paid_cost="5.17"),
    detail("Currencies", "X-1", "b", "2.50", currency="EUR", paid="AUD", paid_cost="4.40"),
    detail("Currencies", "X-2", "a", "8", currency="EUR", paid="EUR"),
    detail("Spans", "Q-1", "1", "1", period=1),
    detail("Spans", "Q-1", "2", "5", period=2),
    detail("States", "V-1", "1", "99", status="Voided"),
    detail("States", "P-1", "1", "6.5", status="Open"),
    # its total is stated too, and is not their sum
    detail("Totals", "T-1", "1", "40"),
    detail("Totals", "T-1", "2", "41"),
]
TOTALS = [
    total("Cents", "C-1", "1.00"),
    total("Cents", "C-YEN", "100", currency="JPY"),
    total("Alias", "A-1", "4"),
    total("Totals", "T-1", "80"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("tie_out")
    files = {
        "config/exchange_rates.csv": "from_currency,to_currency,rate,valid_from,valid_to\nEUR,USD,1.1,,\nJPY,USD,0.007,,\n",
        "landing/bill/a.csv": LINE + "".join(BILL),
        "landing/ledger/a.csv": LINE + line("1000", "Own datacentre"),
        "landing/details/a.csv": DETAIL + "".join(DETAILS),
        "landing/totals/a.csv": TOTAL + "".join(TOTALS),
        # the same invoices again, in later files: one issued, one made void
        "landing/details/b.csv": DETAIL + detail("Again", "R-1", "1", "7", status="Open") + detail("Again", "R-2", "1", "9"),
        "landing/details/c.csv": DETAIL + detail("Again", "R-1", "1", "7.5") + detail("Again", "R-2", "1", "9", status="Void"),
    }
    workspace = write_workspace(root, SETTINGS, files)
    # b.csv arrived before c.csv
    os.utime(root / "landing/details/b.csv", (1_700_000_000, 1_700_000_000))
    reports = pipeline.load(workspace, tell=quiet)
    assert not [failure for report in reports for failure in report.failures]
    assert sum(report.quarantined for report in reports) == 0
    pipeline.build(workspace, tell=quiet)
    return workspace


def tie_out(ask, workspace, issuer, columns):
    return ask(
        workspace,
        f"select invoice_id, billing_currency, status, {columns} from finance.fct_invoice_tie_out"
        f" where invoice_issuer_name = '{issuer}' order by invoice_id nulls last, billing_currency, billing_period, lines_cost",
    )


def test_ka_13_a_credit_note_nets_and_both_invoices_tie_out(built, ask):
    assert tie_out(ask, built, "Ka13", "invoiced_cost, lines_cost, delta_cost, reference_invoice_id, corrected_by_cost, net_cost") == [
        ("INV-FEB", "USD", "tied", Decimal(-50), Decimal(-50), Decimal(0), "INV-JAN", None, Decimal(-50)),
        ("INV-JAN", "USD", "tied", Decimal(150), Decimal(150), Decimal(0), None, Decimal(-50), Decimal(100)),
    ]
    # January's usage
    assert ask(
        built,
        "select sum(billed_cost) from finance.fct_charges where invoice_issuer_name = 'Ka13' and charge_date < date '2025-02-01'",
    ) == [(Decimal(100),)]


def test_rounding_to_the_coin_is_named_and_ties_out(built, ask):
    assert tie_out(ask, built, "Cents", "invoiced_cost, lines_cost, rounding_cost, delta_cost, line_count") == [
        ("C-1", "USD", "tied", Decimal("1.00"), Decimal("1.002"), Decimal("-0.002"), Decimal(0), 3),
        ("C-2", "USD", "tied", Decimal("0.68"), Decimal("0.67"), Decimal("0.01"), Decimal(0), 2),
        ("C-YEN", "JPY", "tied", Decimal(100), Decimal("100.4"), Decimal("-0.4"), Decimal(0), 1),
    ]


def test_a_missing_line_an_unknown_invoice_and_lines_without_one(built, ask):
    assert tie_out(ask, built, "Missing", "invoiced_cost, lines_cost, delta_cost, line_count, issuer_invoice_count") == [
        ("M-1", "USD", "differs", Decimal(60), Decimal(30), Decimal(30), 2, 1),
        ("M-404", "USD", "no_invoice", None, Decimal(7), Decimal(-7), 1, 1),
        (None, "USD", "open", None, Decimal(16), None, 3, 1),
    ]
    assert ask(
        built,
        "select difference, invoice_id, invoice_detail_id, invoiced_cost, lines_cost, line_count, file_row"
        " from finance.fct_invoice_differences where invoice_issuer_name = 'Missing' order by 1",
    ) == [
        ("detail_without_lines", "M-1", "c", Decimal(30), None, 0, None),
        ("line_of_unknown_invoice", "M-404", None, None, Decimal(7), 1, 12),
        ("line_without_invoice", None, None, None, Decimal(5), 1, 11),  # the other account has no invoice yet
    ]


def test_two_currencies_never_mix(built, ask):
    assert tie_out(ask, built, "Currencies", "invoiced_cost, lines_cost, payment_cost, payment_currency") == [
        ("X-1", "EUR", "tied", Decimal("2.5"), Decimal("2.5"), Decimal("4.4"), "AUD"),
        ("X-1", "USD", "tied", Decimal("3.03"), Decimal("3.03"), Decimal("5.17"), "AUD"),
        ("X-2", "EUR", "no_lines", Decimal(8), None, Decimal(8), "EUR"),
        ("X-2", "USD", "no_invoice", None, Decimal(9), None, None),
    ]
    assert ask(
        built,
        "select difference, billing_currency, difference_cost, same_number_of from finance.fct_invoice_differences"
        " where invoice_issuer_name = 'Currencies' order by 1",
    ) == [
        ("invoice_without_lines", "EUR", Decimal(8), "Currencies, USD"),
        ("line_of_unknown_invoice", "USD", Decimal(-9), "Currencies, EUR"),
    ]


def test_an_issuer_by_its_other_name_and_one_without_invoices(built, ask):
    assert tie_out(ask, built, "Alias", "invoiced_cost, lines_cost") == [("A-1", "USD", "tied", Decimal(4), Decimal(4))]
    assert tie_out(ask, built, "Silent", "lines_cost, issuer_invoice_count") == [("S-1", "USD", "no_invoice", Decimal(8), 0)]
    names = ask(built, "select count(*) from finance.fct_invoice_differences where invoice_issuer_name in ('Alias', 'Silent', 'Ka13')")
    assert names == [(0,)]


def test_an_invoice_of_several_months_void_and_provisional_ones(built, ask):
    assert tie_out(ask, built, "Spans", "billing_period, invoiced_cost, lines_cost") == [
        ("Q-1", "USD", "tied", date(2025, 1, 1), Decimal(1), Decimal(1)),
        ("Q-1", "USD", "differs", date(2025, 2, 1), Decimal(5), Decimal(2)),
    ]
    assert tie_out(ask, built, "States", "invoiced_cost, voided_cost, delta_cost, invoice_status") == [
        ("P-1", "USD", "open", Decimal("6.5"), Decimal(0), Decimal("0.5"), "Open"),
        ("V-1", "USD", "tied", Decimal(0), Decimal(99), Decimal(0), "Voided"),
    ]


def test_an_invoice_listed_again_counts_as_it_is_stated_last(built, ask):
    assert tie_out(ask, built, "Again", "invoiced_cost, voided_cost, invoice_status") == [
        ("R-1", "USD", "no_lines", Decimal("7.5"), Decimal(0), "Issued"),
        ("R-2", "USD", "tied", Decimal(0), Decimal(9), "Void"),
    ]


def test_details_that_do_not_add_up_to_the_total(built, ask):
    assert tie_out(ask, built, "Totals", "invoiced_cost, details_cost, details_delta_cost, invoice_row_count") == [
        ("T-1", "USD", "no_lines", Decimal(80), Decimal(81), Decimal(-1), 3)
    ]
    assert ask(
        built,
        "select difference, invoiced_cost, lines_cost from finance.fct_invoice_differences where invoice_issuer_name = 'Totals' order by 1",
    ) == [("details_differ_from_total", Decimal(80), Decimal(81)), ("invoice_without_lines", Decimal(80), None)]


def test_the_own_ledger_is_nobodys_invoice(built, ask):
    assert ask(built, "select count(*) from finance.fct_invoice_tie_out where invoice_issuer_name = 'Own datacentre'") == [(0,)]


def test_every_line_is_in_one_row(built, ask):
    assert ask(built, "select sum(line_count), sum(lines_cost) from finance.fct_invoice_tie_out") == [
        (len(BILL), sum(Decimal(text.split(",")[0]) for text in BILL))
    ]
