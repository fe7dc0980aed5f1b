"""One night, headless: the real DAGs through Airflow's own runner, in the order in which assets would start them.

    python scripts/run_nightly.py WORKSPACE

Prints each task as it ends and what Airflow itself cost; exits 1 if a task failed.
"""

import contextlib
import io
import logging
import os
import sys
import time
from pathlib import Path

import airflow_env
from rich.console import Console

DAGS = ("load_billing", "load_telemetry", "build_warehouse")
console = Console(highlight=False)


def main(workspace: Path) -> int:
    airflow_env.apply(workspace)
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    started = time.monotonic()
    with console.status("Airflow: database and DAGs"), quiet():
        from airflow.dag_processing.dagbag import DagBag

        airflow_env.prepare()
        bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    missing = set(DAGS) - set(bag.dags)
    if bag.import_errors or missing:
        console.print(f"the DAGs do not load: {bag.import_errors or missing}", markup=False)
        return 1
    prepared = time.monotonic() - started
    console.print(f"Airflow ready in {prepared:.1f} s")

    failed, in_tasks = [], 0.0
    for dag_id in DAGS:
        console.print(f"[bold]{dag_id}[/]")
        for instance in run(bag.dags[dag_id]):
            seconds = instance.duration or 0.0
            in_tasks += seconds
            name = instance.task_id if instance.map_index < 0 else f"{instance.task_id} {instance.rendered_map_index or instance.map_index}"
            console.print(f"  {name}: {instance.state} in {seconds:.1f} s", markup=False)
            if instance.state not in ("success", "skipped"):
                failed.append(f"{dag_id}.{name} ({instance.state})")
    whole = time.monotonic() - started
    console.print(f"{whole:.1f} s in all: tasks {in_tasks:.1f} s, Airflow {whole - in_tasks:.1f} s")
    if failed:
        console.print(f"failed: {', '.join(failed)}. What is published stays; `tollbook status` says more.", markup=False)
    return 1 if failed else 0


def run(dag) -> list:
    """Run one DAG; a retry would only make a person wait, so a failure is final here. Its task instances, in order of end."""
    for task in dag.tasks:
        task.retries = 0
    with quiet():
        ended = dag.test()
    return sorted(ended.get_task_instances(), key=lambda one: (one.end_date is None, one.end_date))


@contextlib.contextmanager
def quiet():
    """Airflow's own talk goes to a buffer; what the tasks tell us is printed again without the noise."""
    logging.disable(logging.WARNING)
    spoken = io.StringIO()
    try:
        with contextlib.redirect_stderr(spoken), contextlib.redirect_stdout(spoken):
            yield
    except BaseException:
        sys.stderr.write(spoken.getvalue())
        raise
    finally:
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
