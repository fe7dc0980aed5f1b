"""Build the marts, audit them, post them to the ledger, publish them: whenever a load brought something.

Write, audit, post, publish: readers see `published/` only, and it is swapped in after the audit passed. A failed night leaves
yesterday's numbers standing.

If `build` fails: the message names the model or test, or the rule file, row and column; mend it and clear the task.
If `check` fails: a gate of severity error did not pass; `published/checks.html` says which and what to do. Nothing was
published. If the gate is wrong, change it in `config/gates.yml` and clear the task.
If `post` fails: nothing was posted; clear it. It posts differences only, so nothing is posted twice.
If `publish` fails: clear it. Every step can be run again at any time.
"""

from datetime import timedelta

from airflow.sdk import dag, task
from tollbook_dags import BILLING, DAG_SETTINGS, TELEMETRY


@dag(schedule=(BILLING | TELEMETRY), doc_md=__doc__, **DAG_SETTINGS)
def build_warehouse():
    @task(retries=1, retry_delay=timedelta(minutes=5))
    def build() -> int:
        from tollbook import pipeline
        from tollbook.workspace import Workspace

        return pipeline.build(Workspace.open())

    # a gate that fails, fails again: a person decides
    @task(retries=0)
    def check() -> int:
        from tollbook import pipeline
        from tollbook.workspace import Workspace

        return len(pipeline.check(Workspace.open()))

    @task(retries=2, retry_delay=timedelta(minutes=5))
    def post() -> int:
        from tollbook import pipeline
        from tollbook.workspace import Workspace

        return pipeline.post(Workspace.open()).postings

    @task(retries=2, retry_delay=timedelta(minutes=5))
    def publish() -> None:
        from tollbook import pipeline
        from tollbook.workspace import Workspace

        pipeline.publish(Workspace.open())

    build() >> check() >> post() >> publish()


build_warehouse()
