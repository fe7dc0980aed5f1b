"""Metrics of inference, tokens and the AI platform, and the marts of decisions, on the sample month: each as data/sample/README.md works it out by hand."""

import csv
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tollbook import pipeline
from tollbook.decisions import compare
from tollbook.workspace import Workspace

REPO = Path(__file__).resolve().parents[1]
MONTH, DAY_3, DAY_20, DAY_21 = date(2026, 9, 1), date(2026, 9, 3), date(2026, 9, 20), date(2026, 9, 21)
SECTIONS = ("Inference", "AI platform", "Token")

#: (metric, measure, dimension, value of it) to the figure of September.
OF_THE_MONTH = {
    ("inf.cost_per_inference", "value", "all", None): 25.0,
    ("inf.cost_per_inference", "value", "model", "falcon-7b"): 5251.20 / 90,
    ("inf.cost_per_inference", "value", "model", "lumen-large"): 1508 / 150,
    ("inf.cost_per_inference", "value", "tenant", "globex"): 318.40 / 30,
    ("inf.cost_per_1k", "value", "all", None): 25_000.0,
    ("inf.compute_cost", "value", "all", None): 5160.0,
    ("inf.compute_cost", "value", "model", "falcon-7b"): 4320 + 90 * 2.80,
    ("inf.network_cost", "value", "all", None): 60.0,
    ("inf.network_cost", "value", "tenant", "globex"): 30 * 0.80,
    ("inf.network_cost", "value", "model", "falcon-7b"): 0.0,
    ("inf.storage_cost", "value", "all", None): 300.0,
    ("inf.storage_cost", "value", "model", "falcon-7b"): 210.0,
    ("inf.observability_cost", "value", "all", None): 64.0,
    ("inf.cold_start_rate", "ratio", "all", None): 0.01,
    ("inf.cold_start_rate", "extra_cost", "all", None): 79.80 - (5251.20 - 3 * 79.80) / 87,
    ("inf.cold_start_rate", "extra_cost", "model", "falcon-7b"): 79.80 - (5251.20 - 3 * 79.80) / 87,
    ("inf.retry_inflation", "ratio", "all", None): 300 / 280,
    ("inf.retry_inflation", "ratio", "model", "nova-mini"): 60 / 40,
    ("inf.cost_latency_slope", "value", "variant", "lumen-large@B"): (318.40 - 504.40) * 1000 / 30 / -30_000,
    ("inf.utilization", "gpu", "model", "falcon-7b"): 0.40,
    ("inf.utilization", "cpu", "model", "falcon-7b"): 0.25,
    ("inf.attribution_coverage", "ratio", "all", None): (7000 - 178.90) / 7000,
    ("inf.batch_efficiency", "ratio", "batch_band", "5-8"): (2520.40 / 30) / ((1740.40 + 990.40) / 60),
    ("tok.tokens_per_request", "mean", "all", None): 1683e6 / 300,
    ("tok.tokens_per_request", "p50", "all", None): 1_700_000.0,
    ("tok.tokens_per_request", "p95", "all", None): 24_000_000.0,
    ("tok.tokens_per_request", "input", "all", None): 1442.4e6 / 300,
    ("tok.tokens_per_request", "output", "all", None): 240.6e6 / 300,
    ("tok.tokens_per_request", "cached", "all", None): 120e6 / 300,
    ("tok.tokens_per_request", "reasoning", "all", None): 4.5e6 / 300,
    ("tok.vendor_cost_per_million", "value", "model", "lumen-large"): 3.15,
    ("tok.full_cost_per_million", "value", "all", None): 7000 / 1683,
    ("tok.full_cost_per_million", "value", "model", "falcon-7b"): 5251.20 / 1440,
    ("tok.tokens_per_second", "value", "all", None): 1683e6 / 65_400,
    ("tok.latency_per_token", "value", "all", None): 65_400_000 / 1683e6,
    ("tok.latency_per_token", "time_to_first_token", "all", None): 51_790_000 / 300,
    ("tok.cache_hit_ratio", "requests", "all", None): 0.0,
    ("tok.cache_hit_ratio", "tokens", "all", None): 120 / 1442.4,
    ("tok.cache_hit_ratio", "tokens", "model", "lumen-large"): 120 / 210,
    ("tok.cache_hit_ratio", "saving", "all", None): 324.0,
    ("tok.gpu_hours_per_million", "value", "model", "falcon-7b"): 1.0,
    ("tok.cost_anomaly_score", "score", "model", "falcon-7b"): 38.40 / (0.05 * 162.40),
    ("tok.inflation_rate", "ratio", "all", None): 0.0,
    ("tok.tenant_cost", "value", "tenant", "acme"): 2244.80,
    ("tok.tenant_cost", "value", "tenant", "globex"): 318.40,
    ("tok.tenant_cost", "value", "tenant", "internal"): 4436.80,
    ("tok.embeddings_regenerated", "count", "all", None): 5.0,
    ("tok.embeddings_regenerated", "cost", "all", None): 145.60,
    ("tok.storage_cost_per_vector", "value", "all", None): 0.00002,
    ("tok.repeat_prompt_rate", "ratio", "all", None): 15 / 280,
    ("tok.tokens_per_retrieval", "tokens", "all", None): 300_000.0,
    ("tok.tokens_per_retrieval", "documents", "all", None): 4.0,
    ("tok.fallback_rate", "ratio", "all", None): 3 / 280,
    ("tok.fallback_rate", "extra_cost", "all", None): 78.90,
    ("ai.cost_per_inference", "value", "model_version", "falcon-7b@1"): (162.40 * 20 + 7 * 2.40) / 60,
    ("ai.cost_per_inference", "value", "model_version", "falcon-7b@2"): (162.40 * 10 + 2.40 + 360) / 30,
    ("ai.cost_per_inference", "value", "variant", "lumen-large@A"): 504.40 / 30,
    ("ai.gpu_utilization", "ratio", "pool", "h100"): 249 / 359,
    ("ai.cost_per_training_hour", "value", "all", None): (2952 + 120 + 1440) / 366,
    ("ai.latency_p95", "value", "model", "falcon-7b"): 1_200_000.0,
    ("ai.latency_p95", "value", "model_version", "falcon-7b@2"): 600_000.0,
    ("ai.latency_p95", "value", "model", "lumen-large"): 60_000.0,
    ("ai.error_rate", "ratio", "all", None): 20 / 300,
    ("ai.error_rate", "ratio", "model", "nova-mini"): 20 / 60,
    ("ai.cost_anomalies", "count", "model", "falcon-7b"): 10.0,
    ("ai.cost_anomalies", "cost", "model", "falcon-7b"): 354.0,
    ("ai.allocation_coverage", "cost", "all", None): 21_316 / 30_956,
    ("ai.allocation_coverage", "resources", "all", None): 4 / 13,
    ("ai.retrain_cost_month", "value", "model", "falcon-7b"): 2952.0,
    ("ai.spot_eviction_impact", "cost", "all", None): 60.0,
    ("ai.spot_eviction_impact", "hours", "all", None): 50.0,
    ("ai.error_budget_burn", "ratio", "all", None): 0.0,
    ("ai.autoscaler_efficiency", "value", "model", "falcon-7b"): 172_800.0,
    ("ai.autoscaler_efficiency", "latency_to_target", "model", "falcon-7b"): 60e6 / 1440e6 / 10,
    ("ai.autoscaler_efficiency", "idle_gpu_hours", "all", None): 5.25,
    ("ai.cost_per_feature", "value", "feature", "support-chat"): 822.80,
    ("ai.cost_per_feature", "value", "feature", "triage"): 240.80,
    ("ai.quality_error_rate", "ratio", "all", None): 0.10,
    ("ai.quality_error_rate", "ratio", "variant", "lumen-large@B"): 0.15,
}
OF_DAYS = {
    ("inf.cost_latency_slope", "value", DAY_21, "model", "falcon-7b"): -36 * 1000 / 3 / 580_000,
    ("inf.retry_inflation", "ratio", DAY_3, "all", None): 1.0,
    ("ai.latency_p95", "value", DAY_20, "model", "falcon-7b"): 1_160_000.0,
    ("ai.error_budget_burn", "ratio", DAY_3, "team", "research"): 199.20 / 720,
    ("tok.cost_anomaly_score", "score", DAY_20, "model", "falcon-7b"): 2.40 / (0.05 * 162.40),
    ("inf.observability_cost", "value", DAY_3, "all", None): 0.0,
    ("tok.storage_cost_per_vector", "value", DAY_3, "all", None): 3 / 4_500_000,
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample") / "workspace"
    shutil.copytree(REPO / "data" / "sample", root)
    workspace = Workspace.open(root)
    pipeline.load(workspace, tell=lambda _: None)
    pipeline.build(workspace, tell=lambda _: None)
    with workspace.connect(read_only=True) as db:
        yield db


@pytest.fixture(scope="module")
def months(sample):
    rows = sample.execute("select metric_id, measure, dimension, dimension_value, value from product.metric_values where grain = 'month'")
    return {tuple(row[:4]): row[4] for row in rows.fetchall()}


@pytest.fixture(scope="module")
def catalogue():
    with (REPO / "dbt_project" / "seeds" / "metric_catalogue.csv").open() as file:
        return {(row["metric_id"], row["measure"]) for row in csv.DictReader(file) if row["section"] in SECTIONS}


def test_each_metric_of_the_catalogue_is_worked_out_by_hand(catalogue):
    assert catalogue == {key[:2] for key in OF_THE_MONTH}


@pytest.mark.parametrize("key", OF_THE_MONTH)
def test_a_metric_of_the_month_is_as_by_hand(months, key):
    assert months[key] == pytest.approx(OF_THE_MONTH[key], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("key", OF_DAYS)
def test_a_metric_of_a_day_is_as_by_hand(sample, key):
    found = sample.execute(
        "select value from product.metric_values where grain = 'day' and metric_id = ? and measure = ? and period_start_at = ?"
        " and dimension = ? and dimension_value is not distinct from ?",
        list(key),
    ).fetchall()
    assert [value for (value,) in found] == [pytest.approx(OF_DAYS[key], rel=1e-9, abs=1e-12)]


def test_what_cannot_be_worked_out_says_why_and_is_not_zero(sample):
    rows = sample.execute(
        "select count(*) filter (where (value is null) <> (reason is not null)), count(*) filter (where not isfinite(value)) from product.metric_values"
    ).fetchone()
    assert rows == (0, 0)
    said = dict(
        sample.execute(
            "select metric_id, reason from product.metric_values where grain = 'month' and dimension = 'model' and ("
            " (metric_id = 'tok.vendor_cost_per_million' and dimension_value = 'nova-mini') or (metric_id = 'tok.gpu_hours_per_million' and"
            " dimension_value = 'lumen-large')) and value is null"
        ).fetchall()
    )
    assert said.keys() == {"tok.vendor_cost_per_million", "tok.gpu_hours_per_million"}


def test_parts_of_the_cost_add_up_for_each_tenant(months, sample):
    parts = ("compute", "network", "storage", "observability")
    other = dict(
        sample.execute(
            "select tenant, sum(cost)::double from product.fct_request_components where component in ('vendor', 'people', 'training') group by 1"
        ).fetchall()
    )
    for tenant in ("acme", "globex", "internal"):
        known = sum(months[f"inf.{part}_cost", "value", "tenant", tenant] for part in parts)
        assert known + other[tenant] == pytest.approx(months["tok.tenant_cost", "value", "tenant", tenant])


def test_full_cost_is_the_sum_of_its_components_exactly(sample):
    total, parts = sample.execute(
        "select (select sum(full_cost) from product.fct_token_costs), (select sum(cost) from product.fct_request_components)"
    ).fetchone()
    assert total == parts == Decimal(7000)


def test_variants_are_compared_with_their_baseline(sample):
    rows = sample.execute(
        "select variant, baseline_variant, full_cost_per_inference, full_cost_per_inference_difference, latency_ms_p95_difference, mean_scores,"
        " labelled_count, label_error_ratio, vendor_cost_per_million_tokens from product.fct_variant_costs"
        " where usage_date = '2026-09-07' and model = 'lumen-large' and variant is not null order by 1"
    ).fetchall()
    assert rows == [
        ("A", "A", pytest.approx(16.60), 0.0, 0.0, '{"helpfulness":4.0}', 1, 1.0, pytest.approx(9.60 / 3.4)),
        ("B", "A", pytest.approx(10.40), pytest.approx(-6.20), -30_000.0, '{"helpfulness":3.0}', 1, 1.0, pytest.approx(4.80 / 1.7)),
    ]


def test_where_latency_does_not_differ_there_is_no_slope(sample):
    reasons = sample.execute(
        "select reason, count(*), count(cost_per_ms) from product.fct_latency_slopes"
        " where grain = 'day' and comparison = 'periods' and model = 'falcon-7b' group by 1"
    ).fetchall()
    assert set(reasons) == {(None, 1, 1), ("no period before it", 1, 0), ("the latency does not differ", 28, 0)}


def test_a_batch_of_eight_against_calls_alone(sample):
    # 3 September, no log store and no training: 79.80 against (53.80 + 28.80) / 2, and by tokens 79.80 / 24 against 82.60 / 24
    assert sample.execute(
        "select cost_per_inference_ratio, cost_per_million_tokens_ratio from product.fct_batch_efficiency"
        " where usage_date = '2026-09-03' and batch_band = '5-8'"
    ).fetchall() == [(pytest.approx(79.80 / 41.30), pytest.approx(79.80 / 82.60))]


def test_what_the_cache_of_prompts_saved(sample):
    # four million tokens at 0.30 instead of 3.00 a day, and nothing written
    assert sample.execute(
        "select distinct served_tokens, gross_saving_cost, net_saving_cost, return_ratio from product.fct_cache_returns where model = 'lumen-large'"
    ).fetchall() == [(4_000_000, Decimal("10.80"), Decimal("10.80"), None)]


def test_the_own_fleet_breaks_even_at_thirty_million_tokens_a_day(sample):
    seen, unseen = (
        sample.execute(
            "select fixed_cost, own_cost_per_million_tokens, own_cost_per_million_tokens_when_full, api_list_cost_per_million_tokens,"
            " api_billed_cost_per_million_tokens, break_even_tokens, capacity_tokens, verdict, self_host_saving_cost"
            " from product.fct_break_even where usage_date = ?",
            [day],
        ).fetchall()
        for day in (DAY_3, DAY_20)
    )
    money = (Decimal(144), pytest.approx(3.0))
    prices = (pytest.approx(4.75), pytest.approx(3.15), 30_315_789)
    assert seen == [(*money, pytest.approx(1.20), *prices, 120_000_000, "self_host", Decimal(84))]
    # nobody looked that day: what it could serve is not known, and not 0
    assert unseen == [(*money, None, *prices, None, "self_host", Decimal(84))]


def test_revenue_and_orders_have_their_cost(sample):
    rows = sample.execute("select metric, full_cost, full_cost_per_unit, basis from product.fct_business_costs order by 1").fetchall()
    assert rows == [
        ("conversions", Decimal("318.40"), pytest.approx(0.80), "billed"),
        ("revenue", Decimal("504.40"), pytest.approx(0.10), "billed"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "threshold", "outcome"),
    [
        # 54.4133 and 66.2133 a request: 21.69 % more
        ("model_version:falcon-7b@1", "model_version:falcon-7b@2", 0.21, "failed"),
        ("model_version:falcon-7b@1", "model_version:falcon-7b@2", 0.22, "passed"),
        ("variant:lumen-large@A", "variant:lumen-large@B", 0.0, "passed"),
        ("model:falcon-7b", "model:nova-mini", 1.0, "unknown"),
    ],
)
def test_the_gate_on_the_sample_month(sample, a, b, threshold, outcome):
    assert compare.compare(sample, a, b, ["full_cost_per_inference"], threshold)[0].outcome == outcome
