"""Azure cost exports: both data sets, every agreement's column names, dates and numbers as they are written."""

import gzip
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest

from tollbook import pipeline
from tollbook.sources import azure_values as values

SETTINGS = "currency: USD\nsources:\n  - {{name: azure, format: azure_cost, path: landing/azure/*, options: {{{options}}}}}\n"


def load(workspace, content, name="a.csv", options="", refused=False):
    ws = workspace(SETTINGS.format(options=options), {f"landing/azure/{name}": content})
    (report,) = pipeline.load(ws, tell=lambda _: None)
    assert bool(report.failures) is refused, report.failures
    return (ws, report) if not refused else report.failures[0]


# One reserved VM of 24 h a day: bought for 365 on 1 September, 1.00 a day amortized, 18 h of it used; beside it 2.50 of storage.
HEADER = "Date,BillingPeriodStartDate,BillingPeriodEndDate,ChargeType,PricingModel,ReservationId,ReservationName,Quantity,UnitOfMeasure,CostInBillingCurrency,BillingCurrencyCode,MeterCategory\n"
PERIOD = "09/01/2023,09/01/2023,09/30/2023"
ACTUAL = HEADER + (
    f"{PERIOD},Purchase,Reservation,r-1,VM one year,1,1,365,EUR,Virtual Machines\n"
    f"{PERIOD},Usage,Reservation,r-1,VM one year,18,1 Hour,0,EUR,Virtual Machines\n"
    f"{PERIOD},Usage,OnDemand,,,10,1 GB,2.5,EUR,Storage\n"
    f"{PERIOD},Refund,Reservation,r-1,VM one year,1,1,-30,EUR,Virtual Machines\n"
)
AMORTIZED = HEADER + (
    f"{PERIOD},Usage,Reservation,r-1,VM one year,18,1 Hour,0.75,EUR,Virtual Machines\n"
    f"{PERIOD},UnusedReservation,Reservation,r-1,VM one year,6,1 Hour,0.25,EUR,Virtual Machines\n"
    f"{PERIOD},Usage,OnDemand,,,10,1 GB,2.5,EUR,Storage\n"
)


def test_both_exports_together_bill_the_actual_and_charge_the_amortized(workspace, ask):
    ws = workspace(
        "currency: EUR\nsources:\n"
        "  - {name: amortized, format: azure_cost, path: landing/amortized/*}\n"
        "  - {name: purchases, format: azure_cost, path: landing/actual/*, options: {take: commitment_purchases}}\n",
        {"landing/amortized/a.csv": AMORTIZED, "landing/actual/a.csv": ACTUAL},
    )
    assert [report.failures for report in pipeline.load(ws, tell=lambda _: None)] == [[], []]
    # billed 365 - 30 + 2.50 as in the actual export, effective 0.75 + 0.25 + 2.50 as in the amortized one
    assert ask(ws, "select sum(billed_cost), sum(effective_cost) from raw.billing_lines") == [(Decimal("337.5"), Decimal("3.5"))]
    assert ask(
        ws,
        "select file_row, charge_category, charge_class, commitment_discount_status, billed_cost, effective_cost, effective_cost_origin"
        " from raw.billing_lines where source_name = 'purchases' order by 1",
    ) == [
        (1, "Purchase", None, None, Decimal(365), Decimal(0), "purchase of a commitment: the amortized export spreads it"),
        (4, "Purchase", "Correction", None, Decimal(-30), Decimal(0), "purchase of a commitment: the amortized export spreads it"),
    ]
    assert ask(
        ws,
        "select charge_category, pricing_category, commitment_discount_id, commitment_discount_name, commitment_discount_type,"
        " commitment_discount_status, billed_cost, effective_cost, effective_cost_origin from raw.billing_lines"
        " where source_name = 'amortized' order by file_row",
    ) == [
        ("Usage", "Committed", "r-1", "VM one year", "Reservation", "Used", Decimal(0), Decimal("0.75"), None),
        ("Usage", "Committed", "r-1", "VM one year", "Reservation", "Unused", Decimal(0), Decimal("0.25"), None),
        ("Usage", "Standard", None, None, None, None, Decimal("2.5"), Decimal("2.5"), None),
    ]


def test_the_actual_export_alone_says_that_nothing_is_amortized(workspace, ask):
    ws, _ = load(workspace, ACTUAL)
    assert ask(
        ws,
        "select billed_cost, effective_cost, billed_cost_origin, effective_cost_origin from raw.billing_lines order by file_row",
    ) == [
        (Decimal(365), Decimal(365), None, "actual export alone: as billed, not amortized"),
        (Decimal(0), Decimal(0), None, "actual export alone: as billed, not amortized"),
        (Decimal("2.5"), Decimal("2.5"), None, "no commitment: as billed"),
        (Decimal(-30), Decimal(-30), None, "actual export alone: as billed, not amortized"),
    ]


def test_both_exports_in_one_file_need_to_be_named(workspace, ask):
    both = AMORTIZED + ACTUAL.splitlines(keepends=True)[1]
    said = load(workspace, both, refused=True)
    assert "dataset: amortized" in said
    ws, _ = load(workspace, both, options="dataset: amortized")
    assert ask(ws, "select sum(billed_cost), sum(effective_cost) from raw.billing_lines") == [(Decimal("367.5"), Decimal("3.5"))]


def test_savings_plans_by_their_benefit(workspace, ask):
    plan = "/providers/Microsoft.BillingBenefits/savingsPlanOrders/o/savingsPlans/p"
    content = (
        "date,chargeType,pricingModel,benefitId,benefitName,costInBillingCurrency,billingCurrency\n"
        f"2024-05-01,Usage,SavingsPlan,{plan},compute plan,0.6,USD\n"
        f"2024-05-01,UnusedSavingsPlan,SavingsPlan,{plan},compute plan,0.4,USD\n"
        "2024-05-01,Usage,Spot,,,0.1,USD\n"
    )
    ws, _ = load(workspace, content)
    assert ask(
        ws,
        "select commitment_discount_category, commitment_discount_type, commitment_discount_status, commitment_discount_name,"
        " pricing_category, billed_cost, effective_cost from raw.billing_lines order by file_row",
    ) == [
        ("Spend", "Savings Plan", "Used", "compute plan", "Committed", Decimal(0), Decimal("0.6")),
        ("Spend", "Savings Plan", "Unused", "compute plan", "Committed", Decimal(0), Decimal("0.4")),
        (None, None, None, None, "Dynamic", Decimal("0.1"), Decimal("0.1")),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "SubscriptionId,Date,CostInBillingCurrency,BillingCurrencyCode,MeterCategory,ResourceLocation,ResourceId,Quantity,UnitOfMeasure,Tags",
        "subscriptionId,date,costInBillingCurrency,billingCurrency,meterCategory,resourceLocation,ResourceId,quantity,unitOfMeasure,tags",
        "SubscriptionGuid,UsageDateTime,PreTaxCost,Currency,MeterCategory,ResourceLocation,InstanceId,UsageQuantity,UnitOfMeasure,Tags",
        "Subscription GUID,Usage Date,Cost,Currency,Meter Category,Resource Location,Instance ID,Consumed Quantity,Unit,Tags",
        "\ufeffsubscriptionid,usagedate,pre_tax_cost,billing_currency,METERCATEGORY,resourcelocation,instancename,quantity,unit of measure,tags",
        "Abonnement-GUID (SubscriptionGuid),UsageDateTime (UsageDateTime),PreTaxCost (PreTaxCost),Currency,"
        "Kategorie der Verbrauchseinheit (MeterCategory),Ressourcenstandort (ResourceLocation),InstanceId (InstanceId),"
        "UsageQuantity (UsageQuantity),Maßeinheit (UnitOfMeasure),Tags (Tags)",
        "Abonnement-ID,Datum,Kosten in Abrechnungswährung,Abrechnungswährung,Kategorie der Verbrauchseinheit,Ressourcenstandort,"
        "Ressourcen-ID,Menge,Maßeinheit,Tags",
    ],
)
def test_the_same_line_under_every_agreements_headers(workspace, ask, header):
    line = '\ns-1,2023-09-02,0.075,cad,Load Balancer,US East,/subscriptions/s-1/providers/Microsoft.Network/loadBalancers/lb,3,1 Hour,"""a"": ""b"",""c"": ""d"""\n'
    ws, _ = load(workspace, header + line)
    assert ask(
        ws,
        "select billing_account_id, sub_account_id, charge_period_start, charge_period_end, billing_period_start, billing_period_end,"
        " billed_cost, billing_currency, currency_origin, service_name, service_category, region_id, region_name, resource_name,"
        " resource_type, consumed_quantity, consumed_unit, tags, provider_name, charge_category from raw.billing_lines",
    ) == [
        (
            *("s-1", "s-1", datetime(2023, 9, 2), datetime(2023, 9, 3), datetime(2023, 9, 1), datetime(2023, 10, 1)),
            *(Decimal("0.075"), "CAD", "delivered", "Load Balancer", "Networking", "eastus", "East US", "lb"),
            *("Microsoft.Network/loadBalancers", Decimal(3), "Hours", '{"a": "b","c": "d"}', "Microsoft", "Usage"),
        )
    ]


@pytest.mark.parametrize(
    "dates, first_day",
    [
        ("9/2/2023,9/1/2023,9/30/2023", datetime(2023, 9, 2)),
        ("02/09/2023,01/09/2023,30/09/2023", datetime(2023, 9, 2)),  # the 30th proves it
        ("09/02/23,,", datetime(2023, 9, 2)),
        ("2.9.2023,1.9.2023,30.9.2023", datetime(2023, 9, 2)),
        ("20230902,20230901,20230930", datetime(2023, 9, 2)),
        ("2023-09-02T00:00:00Z,2023-09-01,2023-09-30T23:59:59Z", datetime(2023, 9, 2)),
        ("2023-09-02,2023-09-01,2023-10-01", datetime(2023, 9, 2)),  # an end that is past the period already
    ],
)
def test_dates_of_every_kind(workspace, ask, dates, first_day):
    ws, _ = load(workspace, f"Date,BillingPeriodStartDate,BillingPeriodEndDate,Cost\n{dates},1\n")
    assert ask(ws, "select charge_period_start, billing_period_start, billing_period_end from raw.billing_lines") == [
        (first_day, datetime(2023, 9, 1), datetime(2023, 10, 1))
    ]


def test_dates_that_contradict_each_other_are_asked_about(workspace, ask):
    content = "Date,Cost\n25/9/2023,1\n9/26/2023,2\n"
    assert "date_order: day_first" in load(workspace, content, refused=True)
    ws, report = load(workspace, content, options="date_order: day_first")
    assert (report.rows, report.quarantined) == (1, 1)
    assert ask(ws, "select file_row, column_name, value from raw.quarantine") == [
        (2, "billing_period_start", "9/26/2023 read as day_first")
    ]


def test_a_billing_period_that_is_no_month(workspace, ask):
    ws, _ = load(workspace, "Date,BillingPeriodStartDate,BillingPeriodEndDate,Cost\n2023-09-20,2023-09-15,2023-10-14,1\n")
    assert ask(ws, "select billing_period_start, billing_period_end from raw.billing_lines") == [
        (datetime(2023, 9, 15), datetime(2023, 10, 15))
    ]


@pytest.mark.parametrize("named", ["202308", "2023-08", "2023-08-01", "8/1/2023"])
def test_a_billing_period_that_is_only_named(workspace, ask, named):
    ws, _ = load(workspace, f"Date,BillingPeriod,Cost\n2023-09-01,{named},1\n2023-09-01,August,1\n")
    assert ask(ws, "select billing_period_start, billing_period_end from raw.billing_lines order by file_row") == [
        (datetime(2023, 8, 1), datetime(2023, 9, 1)),
        (datetime(2023, 9, 1), datetime(2023, 10, 1)),
    ]


@pytest.mark.parametrize(
    "content",
    [
        'Datum,Kosten,Menge,Währung\n02.09.2023,"1.234,5","0,25",EUR\n02.09.2023,"5,64902E-05","3",EUR\n',
        "Datum;Kosten;Menge;Währung\n02.09.2023;1.234,5;0,25;EUR\n02.09.2023;5,64902E-05;3;EUR\n",
    ],
)
def test_decimal_commas(workspace, ask, content):
    ws, _ = load(workspace, content)
    assert ask(ws, "select billed_cost, pricing_quantity from raw.billing_lines order by file_row") == [
        (Decimal("1234.5"), Decimal("0.25")),
        (Decimal("0.0000564902"), Decimal(3)),
    ]


def test_numbers_that_can_be_read_two_ways_are_asked_about(workspace, ask):
    content = 'Datum (Date),Kosten (Cost)\n2023-09-02,"1,234"\n'
    assert "decimal: comma" in load(workspace, content, refused=True)
    ws, _ = load(workspace, content, options="decimal: comma")
    assert ask(ws, "select billed_cost from raw.billing_lines") == [(Decimal("1.234"),)]


def test_thousands_with_commas_under_english_headers(workspace, ask):
    ws, _ = load(workspace, 'Date,Cost\n2023-09-02,"1,234"\n2023-09-02,"1,234.56"\n')
    assert ask(ws, "select billed_cost from raw.billing_lines order by 1") == [(Decimal(1234),), (Decimal("1234.56"),)]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.parquet"])
def test_compressed_and_parquet_load_alike(workspace, ask, tmp_path, name):
    if name.endswith(".gz"):
        content = gzip.compress(AMORTIZED.encode())
    else:
        (tmp_path / "a.csv").write_text(AMORTIZED)
        place = tmp_path / "made.parquet"
        duckdb.sql(
            f"copy (select * replace (CostInBillingCurrency::double as CostInBillingCurrency, Quantity::decimal(18,6) as Quantity,"
            f" strptime(Date, '%m/%d/%Y')::timestamp as Date) from read_csv('{tmp_path}/a.csv', all_varchar = true)) to '{place}'"
        )
        content = place.read_bytes()
    ws, _ = load(workspace, content, name=name)
    assert ask(
        ws,
        "select count(*), sum(billed_cost), sum(effective_cost), min(charge_period_start), sum(consumed_quantity) from raw.billing_lines",
    ) == [(3, Decimal("2.5"), Decimal("3.5"), datetime(2023, 9, 1), Decimal(28))]


def test_kinds_of_charge(workspace, ask):
    kinds = ["Usage", "Purchase", "Refund", "Tax", "Credit", "RoundingAdjustment", "Adjustment", ""]
    content = "Date,ChargeType,Frequency,Cost\n" + "".join(f"2023-09-02,{kind},OneTime,1\n" for kind in kinds)
    ws, _ = load(workspace, content)
    assert ask(ws, "select charge_category, charge_class, effective_cost from raw.billing_lines order by file_row") == [
        ("Usage", None, Decimal(1)),
        ("Purchase", None, Decimal(1)),
        ("Purchase", "Correction", Decimal(1)),
        ("Tax", None, Decimal(1)),
        ("Credit", None, Decimal(1)),
        ("Adjustment", None, Decimal(1)),
        ("Adjustment", None, Decimal(1)),
        ("Usage", None, Decimal(1)),
    ]


def test_a_cost_beside_a_reservation_that_does_not_cover_it_stays_billed(workspace, ask):
    content = (
        'UsageDateTime,PreTaxCost,AdditionalInfo\n2023-09-02,0,"{""ReservationId"": ""r""}"\n2023-09-02,0.5,"{""ReservationId"": ""r""}"\n'
    )
    ws, _ = load(workspace, content)
    assert ask(ws, "select billed_cost, commitment_discount_status from raw.billing_lines order by file_row") == [
        (Decimal(0), "Used"),
        (Decimal("0.5"), None),
    ]


def test_tags_and_additional_info_with_and_without_braces(workspace, ask):
    content = (
        "Date,Cost,Tags,AdditionalInfo,PricingModel\n"
        '2023-09-02,0,"{""a"":""1""}","{""ReservationId"":""r-9"",""VCPUs"":4}",\n'
        '2023-09-02,0,"""a"": ""1"",","""VMName"": ""v"",  ""VCPUs"": 2",\n'
        "2023-09-02,0,a=1,,OnDemand\n"
        "2023-09-02,0,{},,OnDemand\n"
    )
    ws, _ = load(workspace, content)
    assert ask(
        ws,
        "select tags, sku_price_details, commitment_discount_id, commitment_discount_status, other_columns->>'Tags'"
        " from raw.billing_lines order by file_row",
    ) == [
        ('{"a":"1"}', '{"ReservationId":"r-9","VCPUs":4}', "r-9", "Used", None),
        ('{"a": "1"}', '{"VMName": "v",  "VCPUs": 2}', None, None, None),
        (None, None, None, None, "a=1"),
        (None, None, None, None, "{}"),
    ]


def test_prices_give_costs_only_where_they_are_exact(workspace, ask):
    content = (
        "Date,Cost,Quantity,UnitOfMeasure,UnitPrice,PayGPrice\n"
        "2023-09-02,1.6,2,1 Hour,0.8,1.1\n"
        "2023-09-02,0.1,0.12345678901234567890,1 GB,0.9,0\n"  # no pay-as-you-go price; 0.11111111011111111101
        "2023-09-02,0.075,3,100 Hours,2.5,2.5\n"
        "2023-09-02,0.0000564902,0.0129,10K,0.5,0.5\n"
    )
    ws, _ = load(workspace, content)
    assert ask(
        ws,
        "select list_cost, list_cost_origin, contracted_cost, contracted_cost_origin, list_unit_price, contracted_unit_price,"
        " pricing_quantity, pricing_unit, consumed_quantity, consumed_unit from raw.billing_lines order by file_row",
    ) == [
        (
            *(Decimal("2.2"), "PayGPrice x quantity", Decimal("1.6"), "UnitPrice x quantity", Decimal("1.1"), Decimal("0.8")),
            *(Decimal(2), "1 Hour", Decimal(2), "Hours"),
        ),
        (
            *(None, None, Decimal("0.11111111011111111101"), "UnitPrice x quantity", None, Decimal("0.9")),
            *(Decimal("0.1234567890123456789"), "1 GB", Decimal("0.1234567890123456789"), "GB"),
        ),
        (None, None, None, None, Decimal("2.5"), Decimal("2.5"), Decimal("0.03"), "100 Hours", Decimal(3), "Hours"),
        (None, None, None, None, Decimal("0.5"), Decimal("0.5"), Decimal("0.0129"), "10K", Decimal(129), "Units"),
    ]


def test_prices_in_another_currency_than_the_bill(workspace, ask):
    content = (
        "date,costInBillingCurrency,billingCurrency,pricingCurrency,costInPricingCurrency,costInUsd,exchangeRatePricingToBilling,"
        "paygCostInBillingCurrency,PayGPrice,unitPrice,quantity,unitOfMeasure,partnerName,invoiceId,previousInvoiceId\n"
        "09/02/2023,0.9,EUR,USD,1,1,0.9,1.08,0.6,0.5,2,1 Hour,Partner Ltd,G1,G0\n"
    )
    ws, _ = load(workspace, content)
    assert ask(
        ws,
        "select billed_cost, billing_currency, pricing_currency, pricing_currency_effective_cost, pricing_to_billing_rate, list_cost,"
        " list_cost_origin, contracted_cost, list_unit_price, pricing_currency_list_unit_price, pricing_currency_contracted_unit_price,"
        " invoice_issuer_name, invoice_id, reference_invoice_id, other_columns->>'costInUsd' from raw.billing_lines",
    ) == [
        (
            *(Decimal("0.9"), "EUR", "USD", Decimal(1), Decimal("0.9"), Decimal("1.08"), None, None, None, Decimal("0.6"), Decimal("0.5")),
            *("Partner Ltd", "G1", "G0", "1"),
        )
    ]


def test_records_that_all_lack_the_last_column_are_taken(workspace, ask):
    ws, report = load(workspace, "Date,Cost,MeterCategory,ResourceLocation\n2023-09-02,1.5,Storage\n2023-09-03,2,Storage\n")
    assert (report.rows, report.quarantined) == (2, 0)
    assert ask(ws, "select file_row, billed_cost, region_id from raw.billing_lines order by 1") == [
        (1, Decimal("1.5"), None),
        (2, Decimal(2), None),
    ]


def test_a_record_cut_off_is_quarantined(workspace, ask):
    ws, report = load(workspace, "Date,Cost,MeterCategory\n2023-09-02,1.5,Storage\n2023-09-03,2")
    assert (report.rows, report.quarantined) == (1, 1)
    assert ask(ws, "select file_row from raw.quarantine") == [(2,)]


def test_a_missing_cost_is_quarantined_and_never_zero(workspace, ask):
    ws, report = load(workspace, "Date,PreTaxCost,Currency\n2023-09-02,,EUR\n2023-09-02,abc,EUR\n2023-09-02,1,\n")
    assert (report.rows, report.quarantined) == (1, 2)
    assert ask(ws, "select file_row, column_name, reason from raw.quarantine order by 1") == [
        (1, "billed_cost", "is missing"),
        (2, "billed_cost", "is not a number"),
    ]
    assert ask(ws, "select billing_currency, currency_origin from raw.billing_lines") == [("USD", "assumed")]


def test_what_is_no_cost_export_is_refused(workspace):
    assert "CostInBillingCurrency" in load(workspace, "UsageDate,Quantity\n2023-09-02,1\n", refused=True)


@pytest.mark.parametrize(
    "options, said",
    [
        ("colour: red", "colour"),
        ("dataset: both", "dataset"),
        ("dataset: amortized, take: commitment_purchases", "actual export"),
    ],
)
def test_options_that_make_no_sense_are_refused(workspace, options, said):
    assert said in load(workspace, ACTUAL, options=options, refused=True)


@pytest.mark.parametrize(
    "unit, block, distinct",
    [
        ("1 Hour", 1, "Hours"),
        ("1 Hours", 1, "Hours"),
        ("100 Hours", 100, "Hours"),
        ("1000 GB/Month", 1000, "GB/Month"),
        ("10K", 10_000, "Units"),
        ("10K/Month", 10_000, "Units/Month"),
        ("1M", 1_000_000, "Units"),
        ("1M Tokens", 1_000_000, "Tokens"),
        ("1B", 1_000_000_000, "Units"),
        ("128 MB", 128, "MB"),
        ("1 GB", 1, "GB"),
        ("1/Day", 1, "Units/Day"),
        ("Text", 1, "Text"),
    ],
)
def test_block_and_unit_of_a_unit_of_measure(unit, block, distinct):
    sql = f"select {values.block_size('u')}, {values.distinct_unit('u')} from (select '{unit}' as u)"
    assert duckdb.sql(sql).fetchall() == [(block, distinct)]


def test_block_sizes_are_those_of_microsofts_table(shared_data):
    table = f"read_csv('{shared_data}/reference/PricingUnits.csv', all_varchar = true)"
    wrong = duckdb.sql(
        f"select UnitOfMeasure, PricingBlockSize, {values.block_size('UnitOfMeasure')} as block from {table}"
        " where block <> PricingBlockSize::bigint order by 1"
    ).fetchall()
    assert wrong == []
