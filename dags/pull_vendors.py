"""Pull the model vendors' cost and usage reports into the landing folder, before the loads.

One mapped task for each source with a `pull` section in `tollbook.yml`: the new days, and those that the vendor may still
restate. Nothing is written to the warehouse, so no lock is taken; the loads find the files in their own time, and run whether
or not a pull succeeded.

If it fails: the last lines say which vendor answered what. A missing key is an environment variable of the worker; a vendor
out of reach is retried. Clear the task: it goes on after the last page it read, and a range that is not complete is never
delivered, so nothing doubles and no day is half.
"""

from airflow.sdk import dag, task
from tollbook_dags import DAG_SETTINGS, LIST_OF_SOURCES, OF_EACH_SOURCE


@dag(schedule="45 3 * * *", doc_md=__doc__, **DAG_SETTINGS)
def pull_vendors():
    @task(**LIST_OF_SOURCES)
    def list_sources() -> list[str]:
        from tollbook.landing.pull import pulled_sources
        from tollbook.workspace import Workspace

        return [source.name for source in pulled_sources(Workspace.open())]

    @task(pool="default_pool", **OF_EACH_SOURCE)
    def pull(name: str) -> int:
        import logging

        from tollbook.landing.pull import pull_source
        from tollbook.workspace import Workspace

        workspace = Workspace.open()
        report = pull_source(workspace, workspace.source(name))
        logging.getLogger("tollbook").info("%s", report)
        return len(report.written)

    pull.expand(name=list_sources())


pull_vendors()
