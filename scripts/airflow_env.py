"""Airflow's settings for a small machine: all in the workspace, nothing sent anywhere, few processes."""

import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def settings(workspace: Path) -> dict[str, str]:
    """Environment variables for Airflow on this workspace (SQLite, loopback, the DAGs of this checkout)."""
    home = workspace.resolve() / ".airflow"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "TOLLBOOK_WORKSPACE": str(workspace.resolve()),
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def apply(workspace: Path) -> None:
    """Set them for this process; call before Airflow is imported."""
    os.environ.update(settings(workspace))
    # a scheduler puts the DAG folder on the path; here it is done by hand
    sys.path.insert(0, str(REPO / "dags"))
    Path(os.environ["AIRFLOW_HOME"]).mkdir(parents=True, exist_ok=True)


def prepare() -> None:
    """Create or migrate Airflow's database, and the one-slot pool that the writing tasks share."""
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    initdb()
    Pool.create_or_update_pool(name="warehouse_writer", slots=1, description="DuckDB takes one writer", include_deferred=False)
