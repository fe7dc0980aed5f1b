"""``tollbook explain``: where a cost comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from tollbook.commands.console import DayArgument, WorkspaceOption, console
from tollbook.errors import TollbookError
from tollbook.warehouse import lock, publication, schema
from tollbook.workspace import Workspace

explain_app = typer.Typer(no_args_is_help=True, help="Where a cost comes from, down to bill rows and telemetry.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(explain_app, name="explain")


@explain_app.command("job")
def explain_job(job_id: str, workspace: WorkspaceOption = None) -> None:
    """One job: attempts, what they held, and the bill lines behind it."""
    from tollbook.explain import usage

    with publication.connect(Workspace.open(workspace)) as db, schema.built():
        console.print(usage.job(db, job_id))


@explain_app.command("request")
def explain_request(request_id: str, workspace: WorkspaceOption = None) -> None:
    """One request (its id or idempotency key): tries, tokens, prices, and what each part of its cost is a share of. Reads the warehouse."""
    from tollbook.explain import requests

    with lock.reading(Workspace.open(workspace)) as db, schema.built():
        console.print(requests.request(db, request_id))


@explain_app.command("tenant")
def explain_tenant(tenant: str, day: DayArgument, workspace: WorkspaceOption = None) -> None:
    """One tenant's day: components by model, and the bill lines or servers behind them."""
    from tollbook.explain import requests

    with publication.connect(Workspace.open(workspace)) as db, schema.built():
        console.print(requests.tenant_day(db, tenant, day.date()))


@explain_app.command("token-day")
def explain_token_day(model: str, day: DayArgument, workspace: WorkspaceOption = None) -> None:
    """One model's day: components by tenant, and the bill lines or servers behind them."""
    from tollbook.explain import requests

    with publication.connect(Workspace.open(workspace)) as db, schema.built():
        console.print(requests.token_day(db, model, day.date()))


@explain_app.command("team-day")
def explain_team_day(team: str, day: DayArgument, workspace: WorkspaceOption = None) -> None:
    """One team's (or bucket's) day: components, holders, models and bill lines."""
    from tollbook.explain import usage

    with publication.connect(Workspace.open(workspace)) as db, schema.built():
        console.print(usage.team_day(db, team, day.date()))


@explain_app.command("statement")
def explain_statement(
    statement_id: str,
    line: Annotated[int | None, typer.Argument(help="Number of a line; without it, the lines are listed.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """A statement's lines, or one line: postings, what was allocated, bill rows with file and row, telemetry. Reads the warehouse."""
    from tollbook.explain import ledger

    opened = Workspace.open(workspace)
    with lock.reading(opened) as db, schema.built():
        console.print(ledger.statement(db, opened.closed, statement_id, line))


@explain_app.command("posting")
def explain_posting(posting_id: int, workspace: WorkspaceOption = None) -> None:
    """One posting: key, run, what the models said, what the ledger held before, and what it is made of. Reads the warehouse."""
    from tollbook.explain import ledger

    opened = Workspace.open(workspace)
    with lock.reading(opened) as db, schema.built():
        console.print(ledger.posting(db, opened.closed, posting_id))


@explain_app.command("invoice")
def explain_invoice(
    invoice_id: str,
    issuer: Annotated[str | None, typer.Option(help="Who issued it, where several have one of that number.")] = None,
    line: Annotated[str | None, typer.Option(help="FILE:ROW, one of its bill rows.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """An invoice upwards: its bill rows, when they accrue, what the ledger owes, and who pays on which statement."""
    from tollbook.explain import bills

    with publication.connect(Workspace.open(workspace)) as db, schema.built():
        if line is None:
            console.print(bills.invoice(db, invoice_id, issuer))
            return
        file, _, row = line.rpartition(":")
        if not file or not row.isdecimal():
            raise TollbookError(f"--line {line}: give FILE:ROW, such as landing/cloud_bill/2026-09.csv:12.")
        console.print(bills.bill_line(db, file, int(row), invoice_id=invoice_id))


@explain_app.command("bill-line")
def explain_bill_line(source: str, file: str, row: int, workspace: WorkspaceOption = None) -> None:
    """One bill row upwards: delivery, owner and rule, the days it accrues to, and who pays."""
    from tollbook.explain import bills

    with publication.connect(Workspace.open(workspace)) as db, schema.built():
        console.print(bills.bill_line(db, file, row, source))
