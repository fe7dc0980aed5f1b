"""Oracle Cloud cost reports: money to the last digit, corrections, overage, tags."""

import gzip
from datetime import datetime
from decimal import Decimal

import pytest

from tollbook import pipeline

SETTINGS = "currency: USD\nsources:\n  - {name: oci, format: oci_cost, path: landing/oci/*}\n"
HEADER = (
    "lineItem/referenceNo,lineItem/tenantId,lineItem/intervalUsageStart,lineItem/intervalUsageEnd,product/service,product/compartmentId,"
    "product/compartmentName,product/region,product/resourceId,usage/billedQuantity,usage/billedQuantityOverage,cost/productSku,"
    "product/Description,cost/unitPrice,cost/myCost,cost/myCostOverage,cost/currencyCode,cost/skuUnitDescription,cost/overageFlag,"
    "lineItem/isCorrection,lineItem/backreferenceNo,tags/Oracle-Tags.CreatedBy,tags/ml\\team.owner\n"
)
ROWS = (
    "ref1,ten,2023-11-30T23:00Z,2023-12-01T00:00:00Z,COMPUTE,comp,ml,us-sanjose-1,ocid1.instance.oc1.us-sanjose-1.abc,2,,B1,"
    "GPU4 hour,3.05,6.100000000000000000,,EUR,GPU Hours,N,false,,me,a-team\n"
    "ref2,ten,2023-11-13T05:00Z,2023-11-13T06:00:00Z,OBJECTSTORE,comp,ml,us-sanjose-1,bucket,6.32000000E-10,,B2,"
    "Storage,0.00991470,6.266090E-12,,EUR,GB Months,N,false,,,\n"
    "ref3,ten,2023-11-13T05:00Z,2023-11-13T06:00:00Z,COMPUTE,comp,ml,us-sanjose-1,ocid1.instance.oc1.us-sanjose-1.abc,-1,,B1,"
    "GPU4 hour,3.05,-3.05,,EUR,GPU Hours,N,true,ref0,,\n"
    # 5 over what was bought: the 0.50 is part of the 5.00
    "ref4,ten,2023-11-13T05:00Z,2023-11-13T06:00:00Z,GENERATIVE_AI,comp,ml,us-sanjose-1,model,50,5,B3,Tokens,0.1,5.00,0.50,,Units,Y,false,,,\n"
)


def load(workspace, content, name="a.csv"):
    ws = workspace(SETTINGS, {f"landing/oci/{name}": content})
    (report,) = pipeline.load(ws, tell=lambda _: None)
    return ws, report


@pytest.mark.parametrize("compressed", [False, True])
def test_lines_and_their_sum_to_the_last_digit(workspace, ask, compressed):
    content = gzip.compress((HEADER + ROWS).encode()) if compressed else HEADER + ROWS
    ws, report = load(workspace, content, "reports_cost-csv_1.csv.gz" if compressed else "a.csv")
    assert (report.failures, report.rows) == ([], 4)
    # 6.1 + 0.000000000006266090 - 3.05 + 5
    assert ask(ws, "select sum(billed_cost), sum(effective_cost), count(list_cost) from raw.billing_lines") == [
        (Decimal("8.05000000000626609"), Decimal("8.05000000000626609"), 0)
    ]
    assert ask(
        ws,
        "select charge_period_start, charge_period_end, billing_period_start, billing_period_end, service_category, resource_type,"
        " region_id, charge_class, billing_currency, currency_origin, pricing_quantity, contracted_unit_price, tags,"
        " sub_account_name from raw.billing_lines order by file_row",
    ) == [
        (
            *(datetime(2023, 11, 30, 23), datetime(2023, 12, 1), datetime(2023, 11, 1), datetime(2023, 12, 1), "Compute", "instance"),
            *("us-sanjose-1", None, "EUR", "delivered", Decimal(2), Decimal("3.05")),
            *('{"Oracle-Tags.CreatedBy":"me","ml\\\\team.owner":"a-team"}', "ml"),
        ),
        (
            *(datetime(2023, 11, 13, 5), datetime(2023, 11, 13, 6), datetime(2023, 11, 1), datetime(2023, 12, 1), "Storage", None),
            *("us-sanjose-1", None, "EUR", "delivered", Decimal("6.32E-10"), Decimal("0.0099147"), None, "ml"),
        ),
        (
            *(datetime(2023, 11, 13, 5), datetime(2023, 11, 13, 6), datetime(2023, 11, 1), datetime(2023, 12, 1), "Compute", "instance"),
            *("us-sanjose-1", "Correction", "EUR", "delivered", Decimal(-1), Decimal("3.05"), None, "ml"),
        ),
        (
            *(datetime(2023, 11, 13, 5), datetime(2023, 11, 13, 6), datetime(2023, 11, 1), datetime(2023, 12, 1)),
            *("AI and Machine Learning", None, "us-sanjose-1", None, "USD", "assumed", Decimal(50), Decimal("0.1"), None, "ml"),
        ),
    ]
    assert ask(
        ws,
        "select other_columns->>'lineItem/backreferenceNo', other_columns->>'cost/myCostOverage' from raw.billing_lines"
        " where file_row > 2 order by file_row",
    ) == [("ref0", None), (None, "0.50")]


def test_other_case_other_order_and_few_columns(workspace, ask):
    content = "COST/MYCOST,lineitem/IntervalUsageEnd,lineItem/intervalUsageStart\n1.5,2024-02-29T01:00Z,2024-02-29T00:00Z\n"
    ws, report = load(workspace, content)
    assert report.failures == []
    assert ask(ws, "select billed_cost, billing_period_end, tags, service_category from raw.billing_lines") == [
        (Decimal("1.5"), datetime(2024, 3, 1), None, "Other")
    ]


def test_bad_money_and_times_are_quarantined(workspace, ask):
    content = (
        "lineItem/intervalUsageStart,lineItem/intervalUsageEnd,cost/myCost\n"
        "2024-02-29T00:00Z,2024-02-29T01:00Z,1\n2024-02-29T00:00Z,2024-02-29T01:00Z,one\nnoon,2024-02-29T01:00Z,1\n"
        "2024-02-29T00:00Z,2024-02-29T01:00Z,\n"
    )
    ws, report = load(workspace, content)
    assert (report.rows, report.quarantined) == (1, 3)
    assert ask(ws, "select file_row, column_name, value, reason from raw.quarantine order by 1") == [
        (2, "billed_cost", "one", "is not a number"),
        (3, "billing_period_start", "noon", "is not a time"),
        (4, "billed_cost", None, "is missing"),
    ]


def test_a_usage_report_has_no_cost(workspace):
    _, report = load(workspace, "lineItem/intervalUsageStart,lineItem/intervalUsageEnd,usage/consumedQuantity\n2024-02-29T00:00Z,x,1\n")
    assert "cost/myCost" in report.failures[0]
    assert "usage reports" in report.failures[0]


def test_a_focus_report_belongs_to_its_own_reader(workspace):
    _, report = load(workspace, "BilledCost,EffectiveCost\n1,1\n")
    assert "format: focus" in report.failures[0]
