"""Jobs through the loaders: attempts, outcomes, work lost, and what a job costs beside what it holds; worked out by hand (job_cases)."""

from decimal import Decimal

import pytest

from tests.job_cases import COLUMNS, SETTINGS, at, cases
from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema
from tollbook.workspace import Workspace


def quiet(_):
    """Say nothing."""


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("jobs")
    write(root, {"tollbook.yml": SETTINGS} | cases().files())
    workspace = Workspace.open(root)
    for report in pipeline.load(workspace, tell=quiet):
        assert (report.failures, report.quarantined) == ([], 0)
    pipeline.build(workspace, tell=quiet)
    return workspace


@pytest.fixture
def jobs(built, ask):
    """Columns of the job of an id, in cluster k; of its attempts with ``attempts=True``, in order."""

    def found(job, *columns, attempts=False):
        mart, order = ("fct_job_attempts", "attempt") if attempts else ("fct_jobs", "job_id")
        rows = ask(
            built,
            f"select {', '.join(columns)} from engineering.{mart} where job_id = '{job}' and cluster = 'k' order by {order}",
        )
        return rows if attempts else rows[0]

    return found


def money(*amounts):
    return tuple(None if amount is None else Decimal(str(amount)) for amount in amounts)


def test_what_was_done_since_the_checkpoint_is_lost(jobs):
    # 6.00 an hour from 0:00 to 2:30, saved at 1:20: 70 minutes are 7.00
    first, second = jobs("train", "outcome", "cost", "lost_cost", "round(lost_gpu_hours * 60, 6)", attempts=True)
    assert first == ("failed", *money(15, 7), 70.0)
    assert second == ("succeeded", *money(12, 0), 0.0)
    assert jobs("train", "attempts", "retries", "failures", "cost", "success_cost", "failed_cost", "lost_cost", "latency_seconds") == (
        2, 1, 1, *money(27, 12, 15, 7), 5 * 3600,
    )  # fmt: skip


def test_without_a_checkpoint_all_of_it_is_lost(jobs):
    assert jobs("raw", "outcome", "is_success", "cost", "lost_cost", "success_cost", "latency_seconds") == (
        "failed", False, *money(6, 6), None, None,
    )  # fmt: skip


def test_a_checkpoint_before_midnight_counts_for_the_day_after(jobs):
    # 61 of 180 minutes at 0.01 an hour, to the last digit
    assert jobs("late", "cost", "lost_cost", "round(lost_gpu_hours * 60, 6)", "preemptions") == (*money("0.03", "0.010166666667"), 61.0, 1)


def test_nobody_said_how_it_ended(jobs):
    (attempt,) = jobs("mute", "outcome", "cost", "lost_cost", "lost_gpu_hours", "lost_reason", attempts=True)
    assert attempt == (None, Decimal(1), None, None, "nobody said how the attempt ended")
    assert jobs("mute", "is_success", "lost_cost", "failed_cost", "lost_reason") == (None, None, None, "nobody said how the attempt ended")


def test_what_jobs_cost_is_what_was_held(built, ask):
    held = ask(built, "select sum(allocated_cost), round(sum(held_gpu_hours), 9) from engineering.fct_gpu_hours where is_held")
    assert ask(built, "select sum(cost), round(sum(gpu_hours), 9) from engineering.fct_job_attempts") == held
    assert ask(built, "select sum(cost), round(sum(gpu_hours), 9) from engineering.fct_jobs") == held
    fates = "sum(allocated_cost) filter (where fate = '{}')"
    # useful: batch 8, ci 4, epochs 6 + 6, gang 2.004166666667, late 0.019833333333, other 4, spot 2 + 6, steady 20, train 8 + 12
    assert ask(built, f"select {fates.format('useful')}, {fates.format('unknown')} from intermediate.int_attempt_days") == [
        money("78.024", "1"),
    ]
    # lost: ci 2, epochs 6, gang 1.995833333333, late, queued 1 + 1, raw 6, spot 2, train 7
    assert ask(built, "select sum(lost_cost) from engineering.fct_job_attempts") == [money("27.006")]


def test_pods_at_once_are_one_attempt_and_what_replaces_them_the_next(jobs):
    assert jobs("gang", "attempt", "holdings", "outcome", "is_final", "is_retry", "is_requeue", attempts=True) == [
        (1, 2, "preempted", False, False, False),
        (2, 1, "succeeded", True, True, True),
    ]


def test_a_requeued_job_and_its_namesake_in_another_cluster(built, ask, jobs):
    assert jobs("queued", "attempt", "outcome", "cost", "is_final", "cpu_seconds", "queue_seconds", attempts=True) == [
        (1, "preempted", Decimal(1), False, 90.0, 3600.0), (2, "failed", Decimal(1), False, None, 7200.0),
        (3, "pending", Decimal(0), True, None, None),
    ]  # fmt: skip
    assert jobs("queued", "attempts", "retries", "requeues", "preemptions", "failures", "outcome", "cost", "memory_gb_seconds") == (
        3, 2, 1, 1, 1, "pending", Decimal(2), 7200.0,
    )  # fmt: skip
    assert ask(built, "select outcome, cost from engineering.fct_jobs where cluster = 'other'") == [("succeeded", Decimal(4))]


def test_a_job_on_no_listed_node_has_no_cost_and_a_reason(jobs):
    assert jobs("stray", "gpu_hours", "cost", "full_cost", "basis", "cost_reason") == (
        1.0, None, None, "unpriced", "node not in the capacity list",
    )  # fmt: skip


def test_a_useful_hour_on_spot_with_what_was_run_again(built, ask):
    # two hours of 2.00, evicted, one of them saved; three more: 10.00 for four useful hours
    columns = (
        "attempts, evictions, gpu_hours, useful_gpu_hours, lost_gpu_hours, cost, lost_cost, cost_per_gpu_hour, cost_per_useful_gpu_hour"
    )
    mart = f"select purchase_option, is_spot, {columns} from engineering.fct_spot_effectiveness where gpu_model = 'H100' order by 1"
    assert ask(built, mart) == [
        ("on_demand", False, 1, 0, 4.0, 4.0, 0.0, *money(20, 0), 5.0, 5.0),
        ("spot", True, 2, 1, 5.0, 4.0, 1.0, *money(10, 2), 2.0, 2.5),
    ]


def test_a_commit_costs_its_retries_too(built, ask):
    assert ask(
        built, "select repository, commit_id, jobs, attempts, retries, cost, success_cost, failed_cost from engineering.fct_commit_costs"
    ) == [("shop/web", "abc", 1, 2, 1, *money(6, 4, 2))]


def test_epochs_done_again_count_once(built, ask, jobs):
    # the third epoch came after the checkpoint and is done again; 18.00 for four, and 6.00 for the two of the attempt that succeeded
    assert jobs("epochs", "epochs", "epochs_run", "cost", "lost_cost", "cost_per_epoch", "model", "model_version") == (
        4.0, 5.0, *money(18, 6), 4.5, "tiny", "7",
    )  # fmt: skip
    assert ask(
        built, "select experiment, jobs, epochs, epochs_run, cost, success_cost, cost_per_epoch, success_cost_per_epoch, cost_per_success"
        " from engineering.fct_experiment_costs"
    ) == [("exp-1", 1, 4.0, 5.0, *money(18, 6), 4.5, 3.0, 18.0)]  # fmt: skip


def test_a_batch_starts_up_and_pays_for_it_by_the_item(jobs):
    # 15 of 60 minutes of 8.00; a batch of three done twice counts once
    assert jobs("batch", "startup_seconds", "startup_cost", "items", "items_run", "cost_per_item", "startup_cost_per_item") == (
        900.0, Decimal(2), 4.0, 7.0, 2.0, 0.5,
    )  # fmt: skip
    assert jobs("steady", "startup_seconds", "startup_cost", "items") == (None, None, None)


def test_peoples_time_at_the_rate_of_its_day(built, ask, jobs):
    # 60 minutes at 60.00, 30 at 90.00, and 30 at 100.00 EUR of 1.20
    assert jobs("train", "people_minutes", "people_cost", "cost") == (120.0, *money(165, 27))
    # no rate for an intern: neither the time's cost is known nor the job's
    assert jobs("steady", "people_minutes", "people_cost", "cost", "full_cost", "cost_reason") == (
        10.0, None, Decimal(20), None, "no rate for the people's time",
    )  # fmt: skip
    unattributed = "select team, minutes, cost, reason from engineering.fct_people_costs where not is_attributed"
    assert ask(built, unattributed) == [("ops", *money(20, 20), "names no job")]
    # it is on no bill: nobody is charged for it
    # beside the bills there are only five requests that are not billed yet
    billed = "(select sum(reporting_effective_cost) from finance.fct_charges)"
    assert ask(built, f"select sum(charged_cost) - {billed} from intermediate.int_chargeback") == [(Decimal("2.50"),)]


def test_an_incident_goes_to_the_jobs_and_models_that_it_names(built, ask):
    assert ask(built, "select job_id, model, minutes, cost from engineering.fct_people_costs where incident_id = 'inc-1' order by 1") == [
        ("raw", None, *money(20, 20)), ("spot", None, *money(20, 20)), (None, "tiny", *money(20, 20)),
    ]  # fmt: skip


def test_fees_are_split_by_calls_and_who_pays_stays(built, ask, jobs):
    # 3 : 3 : 1 of 10.00; the provider's tiles, and another provider's calls, are not in it
    fees = "select job_id, team, quantity, cost, reason from engineering.fct_job_charges where component = '{}' order by 1"
    assert ask(built, fees.format("api")) == [
        ("spot", "geo", 3.0, Decimal("4.285714285714"), None), ("train", "geo", 3.0, Decimal("4.285714285714"), None),
        (None, "geo", 1.0, Decimal("1.428571428572"), "the driver names no job"),
    ]  # fmt: skip
    assert ask(built, fees.format("storage")) == [
        ("ghost", None, 500.0, Decimal(2), "no such job"), ("raw", None, 1000.0, Decimal(4), None),
    ]  # fmt: skip
    assert ask(built, fees.format("egress")) == [(None, None, None, Decimal(2), "nothing of the driver that day")]
    # the rule for logs holds from the next day on
    assert ask(built, fees.format("observability")) == []
    assert ask(built, "select charged_cost from intermediate.int_chargeback where team = 'geo'") == [(Decimal(10),)]
    # with the 1.00 of two requests that it caused
    assert jobs("spot", "api_calls", "api_cost", "cost", "people_cost", "full_cost") == (
        3.0,
        *money("4.285714285714", 10, 20, "35.285714285714"),
    )
    assert jobs("raw", "storage_ops", "storage_cost", "egress_cost", "full_cost") == (1007.0, Decimal(4), None, Decimal("30.50"))


def test_requests_belong_to_the_job_that_began_their_trace(built, ask, jobs):
    named = "select request_id, job_id, named_by from intermediate.int_job_requests order by 1"
    assert ask(built, named) == [("r1", "train", "request"), ("r2", "spot", "span"), ("r3", "raw", "span"), ("r4", "spot", "trace")]
    downstream = ("downstream_requests", "downstream_cost")
    assert (jobs("spot", *downstream), jobs("raw", *downstream)) == ((2, Decimal("1.00")), (1, Decimal("0.50")))


MARTS = ("job_attempts", "jobs", "spot_effectiveness", "experiment_costs", "commit_costs", "job_charges", "people_costs")


def test_nights_that_bring_it_bit_by_bit_end_as_all_at_once(built, tmp_path, ask):
    """A checkpoint that decides over the day after it, drivers and people's time a night late; then the span that began a trace."""
    made = cases()
    late = {"drivers": made.rows["drivers"], "people": made.rows["people"], "events": made.rows["events"]}
    late["work"] = [row for row in made.rows["work"] if row.startswith((at(24 - 1 / 60), at(4 / 3)))]
    last = {"spans": [row for row in made.rows["spans"] if row.startswith("t,s0,")]}
    assert (len(late["work"]), len(last["spans"])) == (2, 1)
    first = {name: [row for row in rows if row not in (late | last).get(name, [])] for name, rows in made.rows.items()}
    write(tmp_path, {"tollbook.yml": SETTINGS})
    workspace = Workspace.open(tmp_path)
    for night, rows in enumerate((first, late, last)):
        made.rows = {name: [] for name in made.rows} | rows
        write(tmp_path, {name.replace("/a.csv", f"/{night}.csv"): text for name, text in made.files().items()})
        pipeline.load(workspace, tell=quiet)
        pipeline.build(workspace, tell=quiet)
    for mart in MARTS:
        query = f"select * from engineering.fct_{mart} order by all"
        assert ask(workspace, query) == ask(built, query), mart


REFUSED = [
    ("job_costs", "r,api,bucket:idle,calls,,", "column cost", "is not service:, provider:, component:, resource:, team: and a name"),
    ("job_costs", "r,api,service:maps;,calls,,\nr,api,team:a,calls,,", "column valid_from", "same rule_id"),
    ("job_costs", "r,fees,service:maps,calls,,", "column component", "is not one of 'api', 'egress', 'storage', 'observability'"),
    ("job_costs", "r,api,service:,calls,,", "column cost", "is not service:"),
    ("people_rates", "sre,-1,USD,,", "column rate_per_hour", "is negative"),
    ("people_rates", "sre,1,US,,", "column currency", "is not a currency code"),
    ("people_rates", "sre,1,USD,,\nSRE,2,USD,2026-09-01,", "column valid_from", "same role"),
]


@pytest.mark.parametrize(("table", "rows", "column", "says"), REFUSED)
def test_rules_that_cannot_be_used_are_refused(workspace, table, rows, column, says):
    ws = workspace("currency: USD\nsources: []\n", {f"config/{table}.csv": f"{COLUMNS[table]}\n{rows}\n"})
    with ws.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError, match=column) as refusal:
            config.load(ws, db)
    assert says in str(refusal.value)


def test_what_an_earlier_version_built_is_not_published_any_more(workspace):
    ws = workspace("currency: USD\nsources: []\n")
    with ws.connect() as db:
        db.execute("create schema engineering; create table engineering.fct_job_costs as select 1 as job_id")
        schema.ensure(db)
        assert db.execute("select count(*) from information_schema.tables where table_name = 'fct_job_costs'").fetchone() == (0,)
