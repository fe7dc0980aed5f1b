"""``tollbook close`` and ``tollbook reopen``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from tollbook.console import WorkspaceOption, console, tell
from tollbook.finance import close as closing
from tollbook.workspace import Workspace

Period = Annotated[datetime, typer.Argument(formats=["%Y-%m"], help="The month, such as 2026-09.")]
_COLOURS = {"pass": "green", "warn": "yellow", "waived": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(close)
    app.command()(reopen)


def close(
    period: Period,
    approved_by: Annotated[str, typer.Option(help="Who approved it; needed unless --dry-run.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check; status 1 if the month cannot be closed.")] = False,
    waive: Annotated[
        list[str] | None, typer.Option("--waive", help="check:item=reason; may be given several times, beside config/close_waivers.csv.")
    ] = None,
    accrue: Annotated[bool, typer.Option("--accrue", help="Close on estimates; they stand as accruals until the bills come.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Close a month: check it, freeze it, record the approval, issue its statements. Status 1 if a check does not pass."""
    try:
        report = closing.close(Workspace.open(workspace), period.date(), approved_by, dry_run, waive or (), accrue, tell)
    except closing.NotClosed as error:
        console.print(_table(error.report))
        raise
    console.print(_table(report))
    if not report.passes:
        raise closing.NotClosed(report)
    if report.folder:
        # said before the table, it is out of sight
        tell(f"{report.period:%Y-%m} is closed: {report.postings:,} postings kept in {report.folder}, {report.statements} statements")


def reopen(
    period: Period,
    approved_by: Annotated[str, typer.Option(help="Who approved it.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Open a closed month again. What was frozen and stated is kept; the next close is a new version."""
    closing.reopen(Workspace.open(workspace), period.date(), approved_by, reason, tell)


def _table(report: closing.CloseReport) -> Table:
    table = Table(title=f"Close of {report.period:%Y-%m}", box=box.SIMPLE)
    for name in ("check", "status", "found", "threshold", "what to do"):
        table.add_column(name, overflow="fold")
    for check in report.checks:
        status = f"[{_COLOURS[check.status]}]{check.status}[/]"
        table.add_row(check.check_id, status, *(escape(text) for text in (check.observed, check.threshold, check.advice)))
    return table
