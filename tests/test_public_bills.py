"""Public bills of every vendor, by the documented tollbook.yml, loaded and built once: every known total, to the last digit."""

import shutil
from decimal import Decimal

import pytest

from tollbook import pipeline
from tollbook.workspace import Workspace


@pytest.fixture(scope="module")
def bills(tmp_path_factory):
    from conftest import REPO, find_shared_data

    data = find_shared_data()
    root = tmp_path_factory.mktemp("bills")
    shutil.copytree(REPO / "docs" / "examples" / "public-bills", root, dirs_exist_ok=True)
    (root / "landing").symlink_to(data)
    workspace = Workspace.open(root)
    reports = pipeline.load(workspace, tell=lambda _: None)
    assert [report.failures for report in reports] == [[] for _ in reports]
    # 157 models of the price list have no price
    assert {report.source: report.quarantined for report in reports if report.quarantined} == {"list_prices": 157}
    pipeline.build(workspace, tell=lambda _: None)
    return workspace


@pytest.mark.parametrize(
    ("source", "lines", "billed", "effective"),
    [
        ("aws", 13380, "143227.76367818761501799106", "143227.76367818761501799106"),
        ("gcp", 9, "0.000012", "0.000012"),
        ("azure_ea", 27, "1.26136926505726", "1.26136926505726"),
        ("oci", 506, "2.523589325400648027", "2.523589325400648027"),
        ("optscale", 82067, "1162.86788502341081330867", "1162.86788502341081330867"),
        # caching 33.90, per token 94.50, and tokens paid ahead: 500,000 billed, 50 used
        ("focus_ai", 9, "500128.40", "178.40"),
        ("focus_plan", 28, "459035.52", "1269.12"),
        ("focus_may", 1, "1500", "1500"),
        ("focus_may_delta", 2, "0", "0"),
    ],
)
def test_totals_to_the_last_digit(bills, ask, source, lines, billed, effective):
    query = f"select count(*), sum(billed_cost), sum(effective_cost) from finance.fct_charges where source_name = '{source}'"
    assert ask(bills, query) == [(lines, Decimal(billed), Decimal(effective))]


def test_four_currencies_in_one_file(bills, ask):
    assert ask(
        bills,
        "select billing_currency, count(distinct file_row), sum(billed_cost) filter (where charge_category <> 'Credit') > 0, min(exchange_rate)"
        " from finance.fct_charges where source_name = 'gcp_synth' group by 1 order by 1",
    ) == [
        ("AUD", 82, True, Decimal("0.65")),
        ("EUR", 80, True, Decimal("1.10")),
        ("GBP", 89, True, Decimal("1.25")),
        ("USD", 249, True, Decimal(1)),
    ]


def test_aws_by_billing_period(bills, ask):
    assert ask(
        bills,
        "select billing_period::varchar, count(*), round(sum(billed_cost), 6) from finance.fct_charges where source_name = 'aws'"
        " group by 1 order by 1",
    ) == [
        ("2018-06-01", 3300, Decimal("34649.973273")),
        ("2018-07-01", 9304, Decimal("100267.738650")),
        ("2018-08-01", 776, Decimal("8310.051756")),
    ]


def test_may_after_its_correction(bills, ask):
    assert ask(
        bills,
        "select resource_id, sum(effective_cost) from finance.fct_charges where source_name like 'focus_may%' group by 1 order by 1",
    ) == [("R-111", 1200), ("R-222", 300)]


def test_the_plan_of_the_specification_is_amortised_as_it_says(bills, ask):
    assert ask(
        bills,
        "select purchased_cost, used_cost, unused_cost, status from finance.fct_commitments where purchased_cost = 459024",
    ) == [(459024, Decimal("943.20"), Decimal("314.40"), "running")]


def test_contracts_and_invoices(bills, ask):
    assert ask(bills, "select count(*), sum(committed_amount), min(billing_currency) from finance.fct_contract_commitments") == [
        (3, Decimal(1082250), "EUR")
    ]
    assert ask(bills, "select sum(billed_cost), sum(payment_cost) from raw.invoices") == [(Decimal("1578.63"), Decimal("1578.63"))]
    # no line mentions them: each is named as missing
    assert ask(bills, "select distinct status from finance.fct_invoice_tie_out where issuer_invoice_count > 0") == [("no_lines",)]


def test_everything_reconciles_and_every_bridge_closes(bills, ask):
    ((periods, cost_delta, rows_delta),) = ask(
        bills, "select count(*), sum(abs(cost_delta)), sum(abs(rows_delta)) from quality.fct_reconciliation"
    )
    assert (periods > 15, cost_delta, rows_delta) == (True, 0, 0)
    ((bridges, remainder),) = ask(bills, "select count(*), sum(abs(cost)) from quality.fct_bridge where term = 'remainder'")
    assert (bridges > 10, remainder) == (True, 0)


def test_an_enterprise_export_in_canadian_dollars(bills, ask):
    assert ask(
        bills,
        "select charge_category, pricing_category, billing_currency, currency_origin, count(*), sum(billed_cost), sum(effective_cost),"
        " min(charge_period_start)::date::varchar, min(billing_period_start)::date::varchar, max(billing_period_end)::date::varchar,"
        " count(tags) from raw.billing_lines where source_name = 'azure_ea' group by all order by 2",
    ) == [
        (
            *("Usage", "Dynamic", "CAD", "delivered", 3, Decimal("0.04825971700000000000"), Decimal("0.048259717")),
            *("2023-09-02", "2023-09-01", "2023-10-01", 3),
        ),
        (
            *("Usage", "Standard", "CAD", "delivered", 24, Decimal("1.21310954805726"), Decimal("1.21310954805726")),
            *("2023-09-02", "2023-09-01", "2023-10-01", 24),
        ),
    ]
    assert ask(bills, "select sum(billed_cost) from raw.billing_lines where source_name = 'azure_ea'") == [(Decimal("1.26136926505726"),)]


def test_every_header_set(bills, ask):
    assert ask(
        bills,
        "select split_part(file_name, '/', -1), count(*), sum(billed_cost), sum(effective_cost), sum(list_cost), min(billing_currency),"
        " min(charge_period_start)::date::varchar, max(charge_period_start)::date::varchar"
        " from raw.billing_lines where source_name = 'azure_variants' group by 1 order by 1",
    ) == [
        ("headersets__Enterprise.csv", 1, Decimal(0), Decimal(0), None, "CAD", "2021-02-02", "2021-02-02"),
        ("headersets__EnterpriseCamel.csv", 1, Decimal("0.012"), Decimal("0.012"), Decimal("0.012"), "USD", "2021-02-02", "2021-02-02"),
        ("headersets__PayAsYouGo.csv", 1, Decimal("0.075"), Decimal("0.075"), None, "USD", "2021-02-02", "2021-02-02"),
        (
            *("values__Template.csv", 87, Decimal("16.393506212224391"), Decimal("16.393506212224391"), Decimal("16.393506212224391")),
            *("USD", "2021-02-01", "2021-02-02"),
        ),
        ("values__VirtualMachine.csv", 1, Decimal(4), Decimal(4), Decimal(5), "USD", "2021-02-01", "2021-02-01"),
    ]
    # a reserved virtual machine: named in its own column, or in AdditionalInfo alone
    assert ask(
        bills,
        "select split_part(file_name, '/', -1), commitment_discount_id, commitment_discount_status, billed_cost from raw.billing_lines"
        " where source_name = 'azure_variants' and commitment_discount_id is not null group by all order by 1",
    ) == [
        ("headersets__Enterprise.csv", "11111111-12ab-34dc-56ef-123456abcdef", "Used", Decimal(0)),
        ("values__Template.csv", "770228a7-62da-4155-802b-0422e1c62efc", "Used", Decimal(0)),
    ]


def test_an_oracle_cost_report(bills, ask):
    assert ask(
        bills,
        "select count(*), sum(billed_cost), sum(effective_cost), round(sum(pricing_quantity), 9), min(charge_period_start)::varchar,"
        " max(charge_period_end)::varchar, count(distinct service_name) from raw.billing_lines where source_name = 'oci'",
    ) == [
        (
            *(506, Decimal("2.523589325400648027"), Decimal("2.523589325400648027"), Decimal("119.654327653")),
            *("2023-11-13 05:00:00", "2023-11-13 12:00:00", 8),
        )
    ]
    assert ask(
        bills,
        "select service_category, round(sum(billed_cost), 8) from raw.billing_lines where source_name = 'oci' group by 1 order by 2 desc",
    ) == [
        ("Databases", Decimal("2.42916376")),
        ("Compute", Decimal("0.07643111")),
        ("Storage", Decimal("0.01780322")),
        ("Integration", Decimal("0.00013977")),
        ("Management and Governance", Decimal("0.00003869")),
        ("Networking", Decimal("0.00001277")),
    ]


def test_optscale_by_account(bills, ask):
    # the exact sums are those of each double's shortest text
    assert ask(
        bills,
        "select billing_account_id, provider_name, count(*), round(sum(billed_cost), 9), sum(billed_cost), count(service_name),"
        " count(distinct resource_id), count(*) filter (billed_cost < 0) from raw.billing_lines where source_name = 'optscale' group by 1, 2 order by 1",
    ) == [
        ("AWS HQ", "AWS", 10672, Decimal("317.374402292"), Decimal("317.374402292"), 880, 236, 55),
        ("GCP dev", "Google Cloud", 68936, Decimal("694.730226"), Decimal("694.73022599999999649178"), 10561, 86, 0),
        ("K8s dev", "Kubernetes", 2459, Decimal("150.763256731"), Decimal("150.76325673141081681689"), 0, 213, 0),
    ]
    assert ask(
        bills,
        "select sum(billed_cost), round(sum(billed_cost), 8), count(distinct invoice_detail_id)"
        " from raw.billing_lines where source_name = 'optscale'",
    ) == [(Decimal("1162.86788502341081330867"), Decimal("1162.86788502"), 82067)]


def test_optscale_by_kind_of_charge(bills, ask):
    assert ask(
        bills,
        "select charge_category, count(*), round(sum(billed_cost), 8) from raw.billing_lines"
        " where source_name = 'optscale' and provider_name = 'AWS' and service_name is not null group by 1 order by 1",
    ) == [
        ("Adjustment", 55, Decimal("-30.33210186")),
        ("Purchase", 12, Decimal("46.512")),  # 39.60 of the savings plan, 6.912 of the reservation
        ("Usage", 813, Decimal("165.73556218")),  # 30.33210186 under the savings plan, 135.40346032 beside it
    ]
    # the vendor's own dates agree with the offsets
    assert ask(
        bills,
        "select count(*), count(*) filter (charge_period_start <> (other_columns ->> '$.\"lineItem/UsageStartDate\"')::timestamp)"
        " from raw.billing_lines where source_name = 'optscale' and charge_description like '%Savings Plan%' and charge_category = 'Purchase'",
    ) == [(11, 0)]
