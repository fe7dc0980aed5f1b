"""Propose the close of a month, a few days into the next; a person approves it, and then it is closed.

`propose` runs the checks of `tollbook close --dry-run`; the approval shows them. Params, when triggered by hand: `period` (such as
2026-09; the oldest open one by default) and `accrue` (estimates that are left stand as accruals). Who approves is recorded in the ledger,
by the name that is logged in, with the one typed into the form where people share a login. Rejected, nothing is closed: `close` is skipped.

If `propose` fails: its message names the checks that did not pass and what to do; `config/close_waivers.csv` is where an item is waived.
Mend it and clear the task. A month that is closed already is skipped.
If `close` fails: the month is as open as before, or its message says how to write the statements. Clear it: nothing is closed twice.
"""

from datetime import date, datetime

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException
from tollbook_dags import DAG_SETTINGS

PARAMS = {
    "period": Param("", type="string", pattern="^([0-9]{4}-(0[1-9]|1[0-2]))?$", description="The month; the oldest open one by default."),
    "accrue": Param(False, type="boolean", description="Close on the estimates that are left, as accruals."),
}


@dag(schedule="0 7 5 * *", doc_md=__doc__, params=PARAMS, **DAG_SETTINGS)
def close_month():
    # a check that fails, fails again: a person decides
    @task(retries=0)
    def propose(params=None, dag_run=None) -> dict:
        import logging

        from tollbook.finance import close
        from tollbook.workspace import Workspace

        workspace = Workspace.open()
        period = params["period"] or f"{close.due(workspace, dag_run.run_after.date()):%Y-%m}"
        first = date.fromisoformat(f"{period}-01")
        try:
            # before the checks: what is posted meanwhile makes the close refuse, not pass unseen
            posted_at = close.newest_posting(workspace, first)
            report = close.close(workspace, first, "", dry_run=True, accrue=params["accrue"])
        except close.ClosedAlready as done:
            raise AirflowSkipException(str(done)) from done
        logging.getLogger("tollbook").info("%s", report.markdown())
        if not report.passes:
            raise close.NotClosed(report)
        return {"period": period, "accrue": params["accrue"], "checks": report.markdown(), "posted_at": posted_at and posted_at.isoformat()}

    approve = ApprovalOperator(
        task_id="approve",
        subject="Close {{ ti.xcom_pull(task_ids='propose')['period'] }}?",
        body="{{ ti.xcom_pull(task_ids='propose')['checks'] }}",
        params={"approved_by": Param("", type="string", title="Approved by", description="Your name, where people share a login.")},
        # it waits for days: the writers' slot is not its own
        pool="default_pool",
    )

    @task(retries=0)
    def close(proposal: dict, approval: dict) -> str:
        import logging

        from tollbook.finance import close, statements
        from tollbook.workspace import Workspace

        login = (approval["responded_by_user"] or {}).get("name", "")
        typed = approval["params_input"].get("approved_by", "").strip()
        name = f"{typed} ({login})" if typed and login else typed or login
        period = date.fromisoformat(f"{proposal['period']}-01")
        posted_at = datetime.fromisoformat(proposal["posted_at"])
        workspace, tell = Workspace.open(), logging.getLogger("tollbook").info
        try:
            return str(close.close(workspace, period, name, accrue=proposal["accrue"], tell=tell, proposed_at=posted_at).folder)
        except close.ClosedAlready as done:
            # an earlier try closed it: its statements are written again, the same
            tell(str(done))
            return str(statements.issue_closed(workspace, period, tell=tell)[0].files[0].parent)

    proposal = propose()
    proposal >> approve
    close(proposal, approve.output)


close_month()
