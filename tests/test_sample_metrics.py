"""Metrics of GPU-hours and jobs on the sample month: each has a value, and it is what data/sample/README.md derives by hand."""

import shutil
from datetime import date
from fractions import Fraction

import pytest

from tollbook import pipeline
from tollbook.commands.workspaces import SAMPLE
from tollbook.workspace import Workspace


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample month, built."""
    root = tmp_path_factory.mktemp("metrics") / "sample"
    shutil.copytree(SAMPLE, root)
    workspace = Workspace.open(root)
    pipeline.load(workspace, tell=lambda _: None)
    pipeline.build(workspace, tell=lambda _: None)
    return workspace


#: What the README works out: (metric, measure, dimension, value of it) to the figure. Fractions as they stand there.
BY_HAND = {
    ("gpu.billed_gpu_hours", "value", "all", None): 17280,
    ("gpu.billed_gpu_hours", "value", "provider", "Nimbus Cloud"): 8640,
    ("gpu.billed_gpu_hours", "value", "provider", "Own datacentre"): 8640,
    ("gpu.job_gpu_hours", "value", "all", None): 9856,
    ("gpu.cost_per_gpu_hour", "allocated", "all", None): Fraction("16292.80") / 9856,
    ("gpu.cost_per_gpu_hour", "allocated", "team", "research"): Fraction("5265.60") / 3572,
    ("gpu.cost_per_gpu_hour", "direct", "all", None): (10512 + 1752) / Fraction(9856),
    ("gpu.cost_per_gpu_hour", "amortised", "all", None): Fraction("4028.80") / 9856,
    ("gpu.cost_per_gpu_hour", "attached", "all", None): 0,
    ("gpu.cost_per_gpu_hour", "overhead", "all", None): 0,
    ("gpu.cost_per_gpu_hour", "existing", "all", None): Fraction(27936, 17280),
    ("gpu.cost_per_gpu_hour", "loaded", "all", None): Fraction(27936, 9856),
    ("gpu.cost_per_gpu_hour", "used", "all", None): Fraction(1077, 249),
    ("gpu.utilization", "existing", "all", None): Fraction(249, 392),
    ("gpu.utilization", "allocated", "all", None): Fraction(249, 359),
    ("gpu.cost_per_training_epoch", "success", "all", None): 288,
    ("gpu.cost_per_training_epoch", "all_attempts", "all", None): Fraction("292.80"),
    ("gpu.cost_per_training_epoch", "all_attempts", "experiment", "sft-small"): Fraction("295.20"),
    ("gpu.burn_rate", "1h", "all", None): Fraction("0.80"),
    ("gpu.burn_rate", "6h", "all", None): Fraction("0.80"),
    ("gpu.burn_rate", "24h", "all", None): Fraction("0.80"),
    ("gpu.burn_rate", "1h", "team", "research"): Fraction("2.35"),
    ("gpu.burn_rate", "6h", "team", "research"): Fraction("2.35"),
    ("gpu.burn_rate", "24h", "team", "research"): Fraction("2.15"),
    ("gpu.orphan_rate", "ratio", "all", None): Fraction(200, 30516),
    ("gpu.spot_share", "ratio", "all", None): Fraction(770, 9856),
    ("gpu.spot_share", "effective_price", "all", None): Fraction(924, 720),
    ("gpu.cost_variance", "stddev", "team", None): Fraction("0.20"),
    ("gpu.cost_variance", "cv", "team", None): Fraction(2, 11),
    ("gpu.cost_variance", "stddev", "pool", "h100"): 0,
    ("gpu.chargeback_accuracy", "ratio", "all", None): 0,
    ("job.cost_per_success", "all_attempts", "all", None): Fraction("11932.40") / 45,
    ("job.cost_per_success", "successful_only", "all", None): Fraction("11341.60") / 45,
    ("job.cost_per_attempt", "value", "all", None): Fraction("11742.40") / 51,
    ("job.cpu_seconds", "total", "all", None): 10368000,
    ("job.cpu_seconds", "per_job", "all", None): 5184000,
    ("job.memory_gb_seconds", "total", "all", None): 82944000,
    ("job.memory_gb_seconds", "per_job", "all", None): 41472000,
    ("job.egress_bytes", "total", "all", None): 5 * 10**9,
    ("job.egress_bytes", "per_job", "all", None): 25 * 10**8,
    ("job.storage_ops", "total", "all", None): 4000000,
    ("job.storage_ops", "per_job", "all", None): 2000000,
    ("job.latency", "p50", "team", "platform"): 172800,
    ("job.latency", "p95", "team", "platform"): 734400,
    ("job.latency", "p99", "team", "platform"): 838080,
    ("job.support_minutes", "minutes", "all", None): 150,
    ("job.support_minutes", "cost", "all", None): 180,
    ("job.observability_cost", "total", "all", None): 10,
    ("job.observability_cost", "per_job", "all", None): 5,
    ("job.retry_ratio", "ratio", "all", None): Fraction(2, 51),
    ("job.failed_cost", "total", "all", None): Fraction("400.80"),
    ("job.failed_cost", "lost", "all", None): Fraction("340.80"),
    ("job.cold_start_cost", "value", "all", None): 36,
    ("job.amortized_infra", "value", "all", None): 36,
    ("job.cost_variance", "p50", "team", "platform"): Fraction("76.80"),
    ("job.cost_variance", "p95", "team", "platform"): Fraction("187.20"),
    ("job.cost_variance", "p95_to_p50", "team", "platform"): Fraction("2.4375"),
    ("job.cost_variance", "stddev", "team", "platform"): Fraction("4694.40") ** Fraction(1, 2),
    ("job.burn_rate", "cost_per_hour", "all", None): Fraction("11972.80") / 720,
    ("job.burn_rate", "jobs_per_hour", "all", None): Fraction(49, 720),
}


def test_september_by_hand(sample, ask):
    told = {
        row[:4]: row[4]
        for row in ask(
            sample,
            "select metric_id, measure, dimension, dimension_value, value from product.metric_values"
            " where grain = 'month' and period_start_at = '2026-09-01'",
        )
    }
    wrong = {
        key: (told.get(key), float(value)) for key, value in BY_HAND.items() if told.get(key) != pytest.approx(float(value), rel=1e-12)
    }
    assert not wrong


def test_each_row_of_the_catalogue_is_worked_out_by_hand(sample, ask):
    catalogue = ask(sample, "select metric_id, measure from product.metric_catalogue where section in ('GPU-hour', 'Job')")
    assert {key[:2] for key in BY_HAND} == set(catalogue)


def test_a_day_by_hand(sample, ask):
    days = ask(
        sample,
        "select period_start_at, value from product.metric_values where metric_id = 'gpu.utilization' and measure = 'existing'"
        " and grain = 'day' and dimension = 'all' and value is not null order by all",
    )
    assert [day for day, _ in days] == [date(2026, 9, 2), date(2026, 9, 3), date(2026, 9, 4)]
    assert days[0][1] == pytest.approx(122 / 192, rel=1e-12)


def test_what_is_not_known_says_why(sample, ask):
    assert ask(
        sample,
        "select value, reason from product.metric_values where metric_id = 'gpu.chargeback_accuracy' and dimension_value = 'Own datacentre'",
    ) == [(None, 'nothing is billed yet')]  # fmt: skip
    seen = ask(
        sample,
        "select reason from product.metric_values where metric_id = 'gpu.utilization' and measure = 'allocated' and grain = 'month'"
        " and dimension = 'pool' and dimension_value = 'l40s'",
    )
    assert seen == [("no sample saw a held GPU",)]


def test_money_has_a_currency_and_nothing_else_has(sample, ask):
    assert ask(
        sample, "select distinct unit like 'cost%', currency_code from product.metric_values order by all"
    ) == [(False, None), (True, "USD")]  # fmt: skip


def test_components_of_the_price_add_up(sample, ask):
    # in every period and for every dimension with held hours
    rows = ask(
        sample,
        "select sum(value) filter (measure = 'allocated'), sum(value) filter (measure in ('direct', 'attached', 'amortised', 'overhead'))"
        " from product.metric_values where metric_id = 'gpu.cost_per_gpu_hour'"
        " group by grain, period_start_at, dimension, dimension_value having count(value) filter (measure = 'allocated') > 0",
    )
    assert len(rows) > 500
    assert all(parts == pytest.approx(whole, rel=1e-9) for whole, parts in rows)
