"""What the three DAGs share: assets, the one-slot pool, and what to say when a task fails."""

import logging

from airflow.sdk import Asset

BILLING = Asset("billing_lines")
TELEMETRY = Asset("telemetry")
# DuckDB takes one writer, so every task that writes holds the only slot of this pool.
POOL = "warehouse_writer"


def say_what_to_do(context) -> None:
    """Log, at the end of a failed task's log, where to look and that a rerun is safe."""
    task = context["task_instance"]
    logging.getLogger("tollbook").error(
        "%s.%s failed. What is published stays as it was. `tollbook status` says what arrived and what failed; mend that "
        "and clear this task: running it again never doubles anything.",
        task.dag_id,
        task.task_id,
    )


DEFAULTS = {"pool": POOL, "owner": "data-engineering", "on_failure_callback": say_what_to_do}
