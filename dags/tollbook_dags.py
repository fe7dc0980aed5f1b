"""What the DAGs share: assets, the one-slot pool, what to say when a task fails, and the shape of a load."""

import logging
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, dag, task

BILLING = Asset("billing_lines")
TELEMETRY = Asset("telemetry")
# DuckDB takes one writer, so every task that writes holds the only slot of this pool.
POOL = "warehouse_writer"


def say_what_to_do(context) -> None:
    """Log, at the end of a failed task's log, where to look and that a rerun is safe."""
    failed = context["task_instance"]
    logging.getLogger("tollbook").error(
        "%s.%s failed. What is published stays as it was. `tollbook status` says what arrived and what failed; mend that "
        "and clear this task: running it again never doubles anything.",
        failed.dag_id,
        failed.task_id,
    )


DAG_SETTINGS = {
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"pool": POOL, "owner": "data-engineering", "on_failure_callback": say_what_to_do},
    "tags": ["tollbook"],
}
# one source that is not there yet, or not well, holds up no other
OF_EACH_SOURCE = {
    "retries": 4,
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    "map_index_template": "{{ task.op_kwargs['name'] }}",
}
# which sources there are, as tollbook.yml says
LIST_OF_SOURCES = {"pool": "default_pool", "retries": 3, "retry_delay": timedelta(seconds=30)}


def load_dag(dag_id: str, asset: Asset, schedule: str, billing: bool, doc: str) -> DAG:
    """A DAG with one mapped task per billing (or telemetry) source of the workspace, each an event of ``asset``."""

    @dag(dag_id, schedule=schedule, doc_md=doc, **DAG_SETTINGS)
    def loads():
        @task(**LIST_OF_SOURCES)
        def list_sources() -> list[str]:
            from tollbook.workspace import Workspace

            return [source.name for source in Workspace.open().sources if source.is_billing == billing]

        @task(outlets=[asset], **OF_EACH_SOURCE)
        def load(name: str) -> int:
            from tollbook import pipeline
            from tollbook.workspace import Workspace

            return pipeline.load_source(Workspace.open(), name).rows

        load.expand(name=list_sources())

    return loads()
