"""Metrics on a node of two GPUs over two nights, worked out by hand: components of a price, sums over sums, windows, increments."""

import shutil

import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.workspace import Workspace

SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
  - {name: fleet, table: capacity, path: landing/fleet/*.csv}
  - {name: pods, table: holdings, path: landing/pods/*.csv}
"""
BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ServiceCategory,ResourceId,ProviderName,ConsumedQuantity,ConsumedUnit"
)


def line(cost, start, end, quantity, unit="Hours", category="Compute"):
    return (
        f"{cost},{cost},USD,2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,2026-09-{start}:00Z,2026-09-{end}:00Z,Usage,"
        f"{category},n,Nimbus,{quantity},{unit}"
    )


FLEET = "cluster,pool,node,gpu_model,gpu_count,state,started_at,ended_at"
PODS = "holding_id,job_id,cluster,node,gpu_count,started_at,ended_at,outcome,labels"
#: An hour and a half of 4.00 an hour, with a disk of 1.50: 3 GPU-hours of 2.50. Team a holds 1.5 of them, b 0.5; the idle one is shared 3 to 1.
FIRST = {
    "bill": [
        BILL,
        line(4, "01T00:00", "01T01:00", 1),
        line(2, "01T01:00", "01T01:30", 0.5),
        line(1.5, "01T00:00", "01T01:30", 10, "GB-Months", "Storage"),
    ],
    "fleet": [FLEET, "k,p,n,H100,2,up,2026-09-01 00:00:00,2026-09-01 01:30:00"],
    "pods": [
        PODS,
        'a1,a1,k,n,1,2026-09-01 00:00:00,2026-09-01 01:30:00,succeeded,"{""team"": ""a""}"',
        'b1,b1,k,n,1,2026-09-01 00:00:00,2026-09-01 00:30:00,failed,"{""team"": ""b""}"',
    ],
}
#: An hour of 8.00: team a holds one GPU and bears the other.
SECOND = {
    "bill": [BILL, line(8, "02T00:00", "02T01:00", 1)],
    "fleet": [FLEET, "k,p,n,H100,2,up,2026-09-02 00:00:00,2026-09-02 01:00:00"],
    "pods": [PODS, 'a2,a2,k,n,1,2026-09-02 00:00:00,2026-09-02 01:00:00,succeeded,"{""team"": ""a""}"'],
}
RULES = {
    "cost_sharing": "rule_id,step,cost,within,method,driver,receivers,valid_from,valid_to\nidle,1,bucket:idle,node,proportional,,,2026-01-01,\n",
    "budgets": "scope,scope_value,cost,amount_per_month,currency,valid_from,valid_to\nteam,A,gpu,720,USD,2026-09-01,\n",
}


def night(root, name, files):
    for table, rows in files.items():
        place = root / "landing" / table / f"{name}.csv"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(rows) + "\n")


def values(workspace, ask):
    return ask(workspace, "select * from product.metric_values order by all")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The workspace after both nights, each loaded and built by itself."""
    root = tmp_path_factory.mktemp("metrics")
    (root / "tollbook.yml").write_text(SETTINGS)
    (root / "config").mkdir()
    for name, rows in RULES.items():
        (root / "config" / f"{name}.csv").write_text(rows)
    for name, files in (("1", FIRST), ("2", SECOND)):
        night(root, name, files)
        workspace = Workspace.open(root)
        for report in pipeline.load(workspace, tell=lambda _: None):
            assert (report.failures, report.quarantined) == ([], 0)
        pipeline.build(workspace, tell=lambda _: None)
    return root


@pytest.fixture
def value(root, ask):
    def found(metric, measure, dimension="all", of=None, day=None):
        """Value and reason, of September or of a day of it."""
        period = f"grain = 'day' and period_start_at = '2026-09-{day:02d}'" if day else "grain = 'month'"
        rows = ask(
            Workspace.open(root),
            f"select value, reason from product.metric_values where metric_id = '{metric}' and measure = '{measure}'"
            f" and dimension = '{dimension}' and dimension_value is not distinct from {'null' if of is None else repr(of)} and {period}",
        )
        assert len(rows) == 1
        return rows[0]

    return found


@pytest.mark.parametrize(
    ("measure", "expected"),
    [("allocated", 3.75), ("direct", 2.0), ("attached", 0.5), ("amortised", 0), ("overhead", 1.25), ("loaded", None)],
)
def test_a_price_and_its_components(value, measure, expected):
    if measure == "loaded":
        # 7.50 for everything, and 2.50 of it shared out again
        assert value("gpu.cost_per_gpu_hour", "existing", day=1) == (2.5, None)
    else:
        assert value("gpu.cost_per_gpu_hour", measure, day=1) == (expected, None)
        assert value("gpu.cost_per_gpu_hour", measure, "team", "a", day=1) == (expected, None)


def test_a_month_is_the_sum_over_the_sum(value):
    # (3.75 + 1.875 + 4 + 4) / 2.5, not the mean of 3.75 and 8
    assert value("gpu.cost_per_gpu_hour", "allocated", "team", "a") == (5.45, None)
    assert value("gpu.cost_per_gpu_hour", "existing") == (3.1, None)
    assert value("gpu.cost_variance", "stddev", "team", "a")[0] == pytest.approx(4.25 / 2**0.5, rel=1e-12)
    assert value("gpu.cost_variance", "stddev", "team", "b") == (None, "needs two days with held GPU-hours")


def test_parts_of_hours_are_billed_as_such(value):
    assert value("gpu.billed_gpu_hours", "value", day=1) == (3.0, None)
    assert value("gpu.billed_gpu_hours", "value") == (5.0, None)


def test_burn_rates_against_a_budget_of_one_an_hour(value):
    assert value("gpu.burn_rate", "1h", "team", "a", day=1) == (2.5, None)
    assert value("gpu.burn_rate", "1h", "team", "a") == (4.0, None)
    assert value("gpu.burn_rate", "24h", "team", "a", day=1) == (None, "no such window lies in what is known yet")
    # the 24 hours that end at 1:00 on the second day: half an hour of the first, and 4.00
    assert value("gpu.burn_rate", "24h", "team", "a", day=2) == ((1.25 + 4) / 24, None)
    assert value("gpu.burn_rate", "1h") == (None, "no budget of cost gpu in config/budgets.csv")


def test_jobs_with_their_part_of_what_was_shared(value):
    # a1 3.75, b1 1.25, a2 4.00; two succeeded
    assert value("job.cost_per_success", "all_attempts") == (4.5, None)
    assert value("job.failed_cost", "lost") == (1.25, None)
    # idle time given back: 2.50 and 4.00
    assert value("job.amortized_infra", "value") == (6.5, None)
    assert value("job.cost_per_success", "all_attempts", "team", "b") == (None, "no job succeeded")


def test_what_was_not_delivered_is_null_and_says_what_it_needs(value):
    assert value("gpu.utilization", "allocated") == (None, "no sample saw a held GPU")
    assert value("gpu.spot_share", "ratio") == (None, "no node says how it was bought")
    assert value("gpu.cost_per_training_epoch", "success") == (None, "needs work of jobs, of kind epoch (table work)")
    assert value("job.support_minutes", "minutes") == (None, "no time of people names a job")


def test_nights_make_what_a_rebuild_makes(root, ask, tmp_path):
    by_nights = values(Workspace.open(root), ask)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    workspace = Workspace.open(copy)
    pipeline.build(workspace, full_refresh=True, tell=lambda _: None)
    assert values(workspace, ask) == by_nights


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("galaxy,x,gpu,1,USD", "is not one of 'all', 'team'"),
        ("team,,gpu,1,USD", "missing where it is not"),
        ("all,a,gpu,1,USD", "is named where scope is all"),
        ("team,a,disks,1,USD", "is not one of 'gpu', 'everything'"),
        ("team,a,gpu,-1,USD", "is negative"),
        ("team,a,gpu,1,dollars", "currency code"),
    ],
)
def test_budgets_that_cannot_be_used_are_refused(workspace, row, said):
    made = workspace(
        SETTINGS,
        {"config/budgets.csv": f"scope,scope_value,cost,amount_per_month,currency,valid_from,valid_to\n{row},,\n"},
    )
    with pytest.raises(ConfigError, match=r"budgets\.csv, row 1") as refused:
        pipeline.build(made, tell=lambda _: None)
    assert said in str(refused.value)


def test_two_budgets_for_the_same_are_refused(workspace):
    rows = "team,a,gpu,1,USD,2026-09-01,\nteam,a,gpu,2,USD,2026-09-02,\n"
    made = workspace(SETTINGS, {"config/budgets.csv": "scope,scope_value,cost,amount_per_month,currency,valid_from,valid_to\n" + rows})
    with pytest.raises(ConfigError, match="same scope and cost"):
        pipeline.build(made, tell=lambda _: None)


def test_google_charges_the_parts_of_a_machine_apart(workspace, ask):
    # three hours of two GPUs are 6 GPU-hours; the cores' 36 hours are none
    stamp = "2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,2026-09-01T00:00:00Z,2026-09-01T03:00:00Z,Usage,Compute,n,Google Cloud"
    lines = [f"6,6,USD,{stamp},21600,seconds,Nvidia H100 GPU running in Iowa", f"1,1,USD,{stamp},129600,seconds,A3 Instance Core"]
    made = workspace(
        SETTINGS,
        {
            "landing/bill/1.csv": "\n".join([f"{BILL},ChargeDescription", *lines]) + "\n",
            "landing/fleet/1.csv": f"{FLEET}\nk,p,n,H100,2,up,2026-09-01 00:00:00,2026-09-01 03:00:00\n",
        },
    )
    pipeline.load(made, tell=lambda _: None)
    pipeline.build(made, tell=lambda _: None)
    assert ask(
        made,
        "select value from product.metric_values where metric_id = 'gpu.billed_gpu_hours' and grain = 'month' and dimension = 'all'",
    ) == [(6.0,)]  # fmt: skip
