"""Public bills and telemetry, by the documented tollbook.yml: every known total, to the last digit."""

import shutil
from decimal import Decimal

import pytest

from tollbook import pipeline
from tollbook.workspace import Workspace


@pytest.fixture(scope="module")
def built(tmp_path_factory, request):
    from conftest import REPO, find_shared_data

    data = find_shared_data()
    root = tmp_path_factory.mktemp("public")
    shutil.copy(REPO / "docs" / "examples" / "public-data" / "tollbook.yml", root)
    (root / "landing").symlink_to(data)
    workspace = Workspace.open(root)
    for report in pipeline.load(workspace, tell=lambda _: None):
        assert report.failures == []
    pipeline.build(workspace, tell=lambda _: None)
    return workspace


def one(workspace, query):
    with workspace.connect(read_only=True) as db:
        return db.execute(query).fetchone()


def rows(workspace, query):
    with workspace.connect(read_only=True) as db:
        return db.execute(query).fetchall()


def test_focus_sample_to_the_last_digit(built):
    assert one(
        built,
        "select count(*), sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost), count(*) filter (tags is null),"
        " count(*) filter (billed_cost < 0) from finance.fct_charges where source_name = 'focus_sample'",
    ) == (500, Decimal("14.66598547521"), Decimal("13.16298079268"), Decimal("14.68218547521"), Decimal("13.16278225655"), 151, 7)
    assert rows(
        built,
        "select billed_by, charge_category, count(*), sum(billed_cost), sum(effective_cost) from finance.fct_charges"
        " where source_name = 'focus_sample' group by 1, 2 order by 1, 2",
    ) == [
        ("AWS", "Credit", 1, Decimal("-2.6137"), Decimal("-3")),
        ("AWS", "Usage", 470, Decimal("16.7956307578"), Decimal("16")),
        ("Microsoft", "Usage", 25, Decimal("0.16298079268"), Decimal("0.16298079268")),
        ("Oracle", "Adjustment", 1, Decimal("0.08"), Decimal(0)),
        ("Oracle", "Usage", 3, Decimal("0.24107392473"), Decimal(0)),
    ]


@pytest.mark.parametrize(
    "file, count, billed, effective",
    [
        ("commitment_discount_purchase_scenario_1", 1, "8760", "0"),
        ("commitment_discount_purchase_scenario_2", 3, "3", "0"),
        ("commitment_discount_usage_scenario_1", 1, "0", "1"),
        ("commitment_discount_usage_scenario_3", 2, "0", "1"),
        ("one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource", 3, "2.75", "2.75"),
        ("saas_spend_agreements_a1", 4, "1200", "1200"),
        ("saas_spend_agreements_b2", 14, "1200", "1200"),
        ("simple_saas_agreements_a1", 1, "10000", "10000"),
        ("simple_saas_agreements_c", 3, "35800", "35800"),
        ("virtual_currency_pricing_model_a2", 3, "0", "1230"),
        ("virtual_currency_pricing_model_b2", 3, "0", "615"),
        ("zero_percent_utilization_without_commitment_discount_flexibility", 3, "3.5", "3.5"),
    ],
)
def test_focus_specification_examples(built, file, count, billed, effective):
    assert one(
        built,
        "select count(*), sum(billed_cost), sum(effective_cost) from finance.fct_charges"
        f" where source_name = 'focus_spec_v1_2' and file_name like '%/{file}.csv'",
    ) == (count, Decimal(billed), Decimal(effective))


def test_focus_1_2_and_1_3_columns(built):
    assert rows(
        built,
        "select split_part(file_name, '/', -1), charge_category, count(*), sum(billed_cost), sum(effective_cost)"
        " from finance.fct_charges where source_name = 'focus_toolkit_synth' group by 1, 2 order by 1, 2",
    ) == [
        ("aws_1_3.csv", "Purchase", 17, Decimal("1028.74187"), Decimal(0)),
        ("aws_1_3.csv", "Tax", 2, Decimal("37.271788"), Decimal("37.271788")),
        ("aws_1_3.csv", "Usage", 81, Decimal("176.1019611148605"), Decimal("178.4071131148605")),
        ("azure_1_2.csv", "Purchase", 21, Decimal("884.657135"), Decimal(0)),
        ("azure_1_2.csv", "Tax", 3, Decimal("59.742418"), Decimal("59.742418")),
        ("azure_1_2.csv", "Usage", 76, Decimal("2180.10039603980385"), Decimal("2187.01585203980385")),
    ]


def test_everything_reconciles_and_every_bridge_closes(built):
    assert one(built, "select count(*) > 10, sum(abs(cost_delta)), sum(abs(rows_delta)) from quality.fct_reconciliation") == (
        True,
        Decimal(0),
        0,
    )
    assert one(built, "select count(*) > 10, sum(abs(cost)) from quality.fct_bridge where term = 'remainder'") == (True, Decimal(0))


def test_alibaba_fractional_gpu_hours_and_pods_that_never_ran(built):
    (hours,) = one(built, "select sum(gpu_hours) from engineering.fct_gpu_hours where source_name = 'alibaba_pods'")
    assert hours == pytest.approx(51470.674158, abs=1e-6)
    assert one(
        built, "select count(*), sum(gpu_hours) from engineering.fct_jobs where outcome = 'pending' and source_name = 'alibaba_pods'"
    ) == (
        897,
        0.0,
    )
    by_qos = rows(
        built,
        "select namespace, sum(date_diff('second', started_at, ended_at) * gpu_count * gpu_share)::double / 3600 from raw.holdings"
        " where source_name = 'alibaba_pods' group by 1 order by 1",
    )
    assert [(qos, round(hours, 6)) for qos, hours in by_qos] == [
        ("BE", 1311.6358),
        ("Burstable", 7459.200556),
        ("Guaranteed", 1286.477778),
        ("LS", 41413.360025),
    ]
    # held and idle are all there was: 6,212 GPUs for 12,902,960 s
    (all_hours,) = one(built, "select sum(gpu_hours) from engineering.fct_gpu_hours where cluster = 'openb'")
    assert all_hours == pytest.approx(6212 * 12902960 / 3600, rel=1e-9)


def test_slurm_jobs_and_cpu_hours(built):
    jobs, hours = one(built, "select count(*), sum(cpu_hours) from engineering.fct_jobs where cluster = 'pozidriv'")
    assert (jobs, round(hours, 6)) == (11704, 71984.276389)


def test_requests_and_tokens_are_counted_and_unpriced(built):
    assert rows(
        built,
        "select source_name, sum(request_count), sum(input_tokens), sum(output_tokens), max(basis), count(full_cost)"
        " from product.fct_token_costs group by 1 order by 1",
    ) == [
        ("azure_llm_2023", 8819, 18059974, 245896, "unpriced", 0),
        ("mooncake", 3993, 61194628, 595432, "unpriced", 0),
    ]
