"""Load every telemetry source of the workspace: capacity, holdings, Slurm, samples, requests.

One mapped task a source; each that succeeds is an event of the asset that starts `build_warehouse`. A source that fails
is retried, then fails alone: the others load, the build runs on what arrived, and the rows loaded before stay.

If it fails: read the task's last lines, mend the file or `tollbook.yml`, and clear the task. A reload replaces, so
nothing doubles. `tollbook status` shows what arrived and what is in quarantine.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task
from tollbook_dags import DEFAULTS, TELEMETRY


@dag(
    schedule="30 4 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["tollbook"],
)
def load_telemetry():
    @task(pool="default_pool", retries=3, retry_delay=timedelta(seconds=30))
    def list_sources() -> list[str]:
        from tollbook.workspace import Workspace

        return [source.name for source in Workspace.open().sources if not source.is_billing]

    @task(
        outlets=[TELEMETRY],
        retries=4,
        retry_delay=timedelta(minutes=5),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(hours=1),
        map_index_template="{{ task.op_kwargs['name'] }}",
    )
    def load(name: str) -> int:
        from tollbook import pipeline
        from tollbook.workspace import Workspace

        return pipeline.load_source(Workspace.open(), name).rows

    load.expand(name=list_sources())


load_telemetry()
