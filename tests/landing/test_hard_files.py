"""Files that real exports and real people make: what cannot be read without a guess is refused, what can keeps every digit."""

import gzip
import json
from decimal import Decimal

import pytest

from tollbook import pipeline

FOCUS = "currency: USD\nsources:\n  - {name: bill, format: focus, path: 'landing/*'}\n"
HEADER = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ResourceId,ChargeDescription\n"
)
PERIODS = "2026-09-01,2026-10-01,2026-09-01,2026-09-02,Usage"


def row(cost="1.00", resource="r", description="d", currency="USD"):
    return f"{cost},{cost},{currency},{PERIODS},{resource},{description}\n"


def load(workspace, settings, files):
    ws = workspace(settings, files)
    (report,) = pipeline.load(ws, tell=lambda _: None)
    return ws, report


@pytest.mark.parametrize("closed_by", [None, row(description='a 21in" screen'), row(description='d"')])
def test_a_quote_that_is_never_closed_loses_nothing_silently(workspace, closed_by):
    rows = [row() for _ in range(30_000)]
    rows[24_999] = row(resource='"open quote 19in')
    if closed_by:
        rows[28_000] = closed_by
    _, report = load(workspace, FOCUS, {"landing/a.csv": HEADER + "".join(rows)})
    assert report.loaded == 0
    assert "a.csv, line 25001: a quote is opened and not closed" in report.failures[0]


def test_texts_that_look_like_numbers_stay_texts_and_numbers_keep_their_digits(workspace, ask):
    record = dict(zip(HEADER.strip().split(","), row().strip().split(","), strict=True))
    lines = [
        json.dumps(record | {"ResourceId": ":8080 proxy", "ChargeDescription": 'say \\"a\\": 5'}),
        json.dumps(record).replace('"1.00"', "5.12345678901234567891"),
    ]
    ws, report = load(workspace, FOCUS, {"landing/a.jsonl": "\n".join(lines)})
    assert (report.failures, report.rows) == ([], 2)
    assert ask(ws, "select resource_id, charge_description, billed_cost from raw.billing_lines order by file_row") == [
        (":8080 proxy", 'say \\"a\\": 5', Decimal("1.00")),
        ("r", "d", Decimal("5.12345678901234567891")),
    ]


def test_a_bill_packed_and_unpacked_is_one_bill(workspace, ask):
    content = (HEADER + row("5.5")).encode()
    ws, report = load(workspace, FOCUS, {"landing/a.csv": content, "landing/a.csv.gz": gzip.compress(content)})
    assert (report.loaded, report.unchanged) == (1, 1)
    assert ask(ws, "select sum(billed_cost) from raw.billing_lines") == [(Decimal("5.5"),)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_mapped_bill_keeps_every_digit(workspace, ask, kind):
    settings = """
currency: USD
sources:
  - name: bill
    table: billing_lines
    path: landing/*
    select: >-
      select cost as billed_cost, cost * 2 as effective_cost, 'USD' as billing_currency, 'Usage' as charge_category,
      timestamp '2026-09-01' as billing_period_start, timestamp '2026-10-01' as billing_period_end,
      timestamp '2026-09-01' as charge_period_start, timestamp '2026-09-02' as charge_period_end, account as sub_account_id from delivery
"""
    rows = [("a", "1234567890.12345678901"), ("b", "0.1")]
    content = {
        "csv": "account,cost\n" + "".join(f"{account},{cost}\n" for account, cost in rows),
        "jsonl": "".join(f'{{"account": "{account}", "cost": {cost}}}\n' for account, cost in rows),
    }[kind]
    ws, report = load(workspace, settings, {f"landing/a.{kind}": content})
    assert report.failures == []
    assert ask(ws, "select sum(billed_cost), sum(effective_cost) from raw.billing_lines") == [
        (Decimal("1234567890.22345678901"), Decimal("2469135780.44691357802"))
    ]


AZURE = "currency: EUR\nsources:\n  - {name: bill, format: azure_cost, path: 'landing/*'}\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "Date;BillingCurrency;CostInBillingCurrency\n2026-09-05;EUR;1,500\n2026-09-06;EUR;2,250\n",
            "decimal commas and with decimal points",
        ),
        ("Date;BillingCurrency;CostInBillingCurrency\n05/09/2026;EUR;1,5\n", "day first and with the month first"),
    ],
)
def test_what_can_be_read_two_ways_is_asked_for(workspace, content, said):
    _, report = load(workspace, AZURE, {"landing/a.csv": content})
    assert said in report.failures[0]


def test_semicolons_and_records_without_the_last_column(workspace, ask):
    content = (
        "Datum (Date);Abrechnungswährung (BillingCurrency);Kosten (CostInBillingCurrency);Menge (Quantity);Leer (Foo)\n"
        "05.09.2026;EUR;1,50;2\n16.09.2026;EUR;1.234,50;2\n"
    )
    ws, report = load(workspace, AZURE, {"landing/a.csv": content})
    assert report.failures == []
    assert ask(ws, "select sum(billed_cost), min(charge_period_start)::date::varchar from raw.billing_lines") == [
        (Decimal("1236.00"), "2026-09-05")
    ]


def test_currencies_are_trimmed_and_what_is_none_is_quarantined(workspace, ask):
    content = HEADER + row(currency="usd ") + row(currency="Dollar")
    ws, report = load(workspace, FOCUS, {"landing/a.csv": content})
    assert (report.rows, report.quarantined) == (1, 1)
    assert ask(ws, "select billing_currency from raw.billing_lines") == [("USD",)]
    assert ask(ws, "select file_row, value, reason from raw.quarantine") == [(2, "DOLLAR", "is not a currency code of three letters")]


def test_two_columns_of_one_name_are_refused_where_they_differ(workspace):
    header, line = HEADER.strip() + ",BilledCost\n", row("5").strip()
    _, same = load(workspace, FOCUS, {"landing/a.csv": header + line + ",5\n"})
    assert same.failures == []
    _, other = load(workspace, FOCUS, {"landing/a.csv": header + line + ",7\n"})
    assert "two columns are called BilledCost, and they differ" in other.failures[0]


HEADLESS = """
currency: USD
sources:
  - name: rates
    table: requests
    path: landing/*.csv
    options: {columns: [seconds, rate, words]}
    select: |
      select timestamp '2026-09-01' + to_seconds(seconds) as requested_at, 'm' as model, words as tenant, round(rate * 600, 6) as sample_weight
      from delivery
"""


def test_a_file_without_a_header_loses_no_row_and_names_the_bad_one(workspace, ask):
    ws, report = load(workspace, HEADLESS, {"landing/a.csv": "0,0.43166666666666664,a\n600,0.35,b\n1200,fast,c\n1800,0.1,e\n"})
    assert (report.failures, report.quarantined) == ([], 1)
    assert ask(ws, "select file_row, requested_at::varchar, tenant, sample_weight from raw.requests order by 1") == [
        (1, "2026-09-01 00:00:00", "a", 259),
        (2, "2026-09-01 00:10:00", "b", 210),
        (4, "2026-09-01 00:30:00", "e", 60),
    ]
    assert ask(ws, "select file_row from raw.quarantine") == [(3,)]


def test_columns_that_are_no_list_are_refused(workspace):
    _, report = load(workspace, HEADLESS.replace("[seconds, rate, words]", "seconds"), {"landing/a.csv": "0,1,a\n"})
    assert "option columns is 'seconds'; it must list the columns" in report.failures[0]
