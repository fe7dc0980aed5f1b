"""The DAGs: what there is, how it is chained, and the whole night through Airflow, twice."""

import shutil
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from tests.programs import wait_until

REPO = Path(__file__).resolve().parents[2]
EXPECTED = {"pull_vendors", "load_billing", "load_telemetry", "build_warehouse", "close_month"}


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory):
    """A workspace of the sample month with Airflow's home in it; Airflow is imported after its settings are made."""
    import airflow_env

    assert "airflow" not in sys.modules, "Airflow was imported before its settings"
    workspace = tmp_path_factory.mktemp("night") / "workspace"
    shutil.copytree(REPO / "data" / "sample", workspace)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in airflow_env.settings(workspace).items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(REPO / "dags"))
        Path(airflow_env.settings(workspace)["AIRFLOW_HOME"]).mkdir()
        airflow_env.prepare()
        yield workspace


@pytest.fixture(scope="module")
def bag(airflow_home):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(REPO / "dags"))


def test_the_dags_are_there_and_import(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == EXPECTED


def test_dags_parse_without_a_workspace(bag, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("TOLLBOOK_WORKSPACE", "/nowhere")
    again = DagBag(str(REPO / "dags"))
    assert (set(again.dags), again.import_errors) == (EXPECTED, {})


def test_loads_start_the_build(bag):
    made = {asset.name for dag_id in ("load_billing", "load_telemetry") for asset in bag.dags[dag_id].get_task("load").outlets}
    started_by = {asset.name for asset in bag.dags["build_warehouse"].timetable.asset_condition.objects}
    assert made == started_by == {"billing_lines", "telemetry"}
    assert bag.dags["build_warehouse"].get_task("check").upstream_task_ids == {"build"}
    assert bag.dags["build_warehouse"].get_task("post").upstream_task_ids == {"check"}
    assert bag.dags["build_warehouse"].get_task("publish").upstream_task_ids == {"post"}


def test_writers_share_the_one_slot_and_loads_are_retried(bag):
    from airflow.models.pool import Pool

    # listing and pulling write nothing to the warehouse, and a person has no hurry
    writers = [task for dag in bag.dags.values() for task in dag.tasks if task.task_id not in ("list_sources", "pull", "approve")]
    assert {task.pool for task in writers} == {"warehouse_writer"}
    assert Pool.get_pool("warehouse_writer").slots == 1
    for dag_id in ("load_billing", "load_telemetry"):
        assert bag.dags[dag_id].get_task("load").retries == 4
    assert bag.dags["build_warehouse"].get_task("check").retries == 0
    assert all(dag.max_active_runs == 1 and not dag.catchup for dag in bag.dags.values())
    assert all("fails" in dag.doc_md for dag in bag.dags.values())


def test_pulls_take_no_writer_s_slot_are_retried_and_wait_for_no_load(bag):
    pull = bag.dags["pull_vendors"].get_task("pull")
    assert (pull.pool, pull.retries, pull.outlets) == ("default_pool", 4, [])
    assert pull.upstream_task_ids == {"list_sources"}


def published(workspace):
    with duckdb.connect(str(workspace / "published" / "tollbook.duckdb"), read_only=True) as db:
        marts = ["finance.fct_chargeback_days", "engineering.fct_gpu_days", "product.fct_token_costs", "quality.fct_bridge"]
        return {mart: db.execute(f"select * from {mart} order by all").fetchall() for mart in marts}


def test_the_whole_night_runs_through_airflow_and_twice_is_as_once(bag, airflow_home):
    import run_nightly

    first = {}
    for attempt in (1, 2):
        for dag_id in run_nightly.DAGS:
            states = {(one.task_id, one.map_index): one.state for one in run_nightly.run(bag.dags[dag_id])}
            assert set(states.values()) == {"success"}, (attempt, dag_id, states)
        if attempt == 1:
            first = published(airflow_home)
            assert all(first.values())
    assert published(airflow_home) == first


def test_the_close_is_proposed_a_person_approves_and_nobody_else(bag):
    dag = bag.dags["close_month"]
    assert dag.get_task("approve").upstream_task_ids == {"propose"}
    assert dag.get_task("close").upstream_task_ids == {"propose", "approve"}
    # no answer is no approval, however long it takes
    assert (dag.get_task("approve").defaults, dag.get_task("approve").pool) == (None, "default_pool")
    assert dag.get_task("close").retries == dag.get_task("propose").retries == 0


def answer(choice, login, typed, seen):
    """Wait until the approval is asked for and answer it, as the page of required actions does."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select, update
    from sqlalchemy.orm import joinedload

    waiting = (TaskInstance.dag_id == "close_month", TaskInstance.state == "awaiting_input")

    def was_asked():
        with create_session() as session:
            asked = session.scalars(select(TaskInstance).where(*waiting).options(joinedload(TaskInstance.hitl_detail))).first()
            if asked is None:
                return False
            detail = asked.hitl_detail
            seen.append((detail.subject, detail.body))
            detail.chosen_options, detail.params_input = [choice], {"approved_by": typed}
            detail.responded_at, detail.responded_by = datetime.now(UTC), {"id": login, "name": login}
            handle_event_submit(TriggerEvent(detail.as_resume_event_payload()), task_instance=asked, session=session)
            return True

    try:
        wait_until("the approval to be asked for", was_asked)
    finally:
        # else the run would wait for ever
        with create_session() as session:
            session.execute(update(TaskInstance).where(*waiting).values(state="failed"))


def closing(bag, day, choice=None, login="ada", typed="", conf=None):
    """Run the DAG as of that day, answering its question; the state of each task, and what the person was shown."""
    import pendulum
    import run_nightly

    seen = []
    person = threading.Thread(target=answer, args=(choice, login, typed, seen))
    if choice:
        person.start()
    with run_nightly.quiet():
        ended = bag.dags["close_month"].test(run_after=pendulum.parse(day), logical_date=pendulum.parse(day), run_conf=conf)
    if choice:
        person.join()
    return {one.task_id: one.state for one in ended.get_task_instances()}, seen


def test_a_month_is_closed_by_whoever_approves_it_and_by_nobody_who_rejects(bag, airflow_home, monkeypatch):
    from tests import close_cases

    module = close_cases.statements_that_note([])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("tollbook.finance.statements", module, raising=False)
    events = "select accounting_period, event, approved_by from ledger.period_events"

    def held():
        with duckdb.connect(str(airflow_home / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(events).fetchall()

    # the oldest open month, however late it is asked for
    states, seen = closing(bag, "2026-12-05T07:00:00Z", "Reject")
    assert states == {"propose": "success", "approve": "success", "close": "skipped"} and held() == []
    assert seen[0][0] == "Close 2026-09?" and "| trial_balance | pass |" in seen[0][1]
    states, _ = closing(bag, "2026-10-07T07:00:00Z", "Approve", typed="Ada Finance")
    assert set(states.values()) == {"success"}
    assert held() == [(date(2026, 9, 1), "closed", "Ada Finance (ada)")]
    # closed already: there is nothing to ask
    assert set(closing(bag, "2026-10-08T07:00:00Z")[0].values()) == {"skipped"}
    # a month that is not over cannot be proposed, whoever asks
    assert closing(bag, "2026-10-06T07:00:00Z", conf={"period": "2026-10"})[0] == {
        "propose": "failed", "approve": "upstream_failed", "close": "upstream_failed"
    }  # fmt: skip


def test_a_source_that_fails_fails_alone(bag, airflow_home):
    import run_nightly

    bill = airflow_home / "landing" / "vendor_bill" / "2026-09.csv"
    good, before = bill.read_bytes(), published(airflow_home)
    try:
        bill.write_bytes(b"")
        states = {one.map_index: one.state for one in run_nightly.run(bag.dags["load_billing"]) if one.task_id == "load"}
        assert sorted(states.values()) == ["failed", "success", "success"]
    finally:
        bill.write_bytes(good)
    assert published(airflow_home) == before


def test_the_package_never_imports_airflow(tmp_path):
    """The lint rule that says so catches it."""
    import subprocess

    culprit = tmp_path / "tollbook" / "culprit.py"
    culprit.parent.mkdir()
    culprit.write_text("from airflow.sdk import dag\n\nprint(dag)\n")
    ruff = [
        str(Path(sys.executable).parent / "ruff"),
        "check",
        "--no-cache",
        "--config",
        str(REPO / "pyproject.toml"),
        "--output-format",
        "concise",
    ]
    assert "TID251" in subprocess.run([*ruff, str(culprit)], capture_output=True, text=True, check=False).stdout
    done = subprocess.run([*ruff, "--select", "TID251", str(REPO / "tollbook")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
