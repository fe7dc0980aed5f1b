"""The DAGs: what there is, how it is chained, and the whole night through Airflow, twice."""

import shutil
import sys
from pathlib import Path

import duckdb
import pytest

REPO = Path(__file__).resolve().parents[2]
EXPECTED = {"pull_vendors", "load_billing", "load_telemetry", "build_warehouse"}


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
    assert bag.dags["build_warehouse"].get_task("publish").upstream_task_ids == {"check"}


def test_writers_share_the_one_slot_and_loads_are_retried(bag):
    from airflow.models.pool import Pool

    # listing and pulling write nothing to the warehouse
    writers = [task for dag in bag.dags.values() for task in dag.tasks if task.task_id not in ("list_sources", "pull")]
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
