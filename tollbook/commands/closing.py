"""``tollbook close``, ``reopen`` and ``statements``."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from tollbook.commands.console import WorkspaceOption, console, tell
from tollbook.errors import TollbookError
from tollbook.finance import close as closing
from tollbook.finance import opening as settling
from tollbook.workspace import Workspace

Period = Annotated[datetime, typer.Argument(formats=["%Y-%m"], help="The month, such as 2026-09.")]
_COLOURS = {"pass": "green", "warn": "yellow", "waived": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(close)
    app.command()(reopen)
    app.command()(statements)


def close(
    period: Period,
    approved_by: Annotated[str, typer.Option(help="Who approved it; needed unless --dry-run.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check; status 1 if the month cannot be closed.")] = False,
    waive: Annotated[
        list[str] | None, typer.Option("--waive", help="check:item=reason; may be given several times, beside config/close_waivers.csv.")
    ] = None,
    accrue: Annotated[bool, typer.Option("--accrue", help="Close on estimates; they stand as accruals until the bills come.")] = False,
    opening: Annotated[
        bool, typer.Option("--opening", help="This month and all before it were settled before the ledger began: check and freeze nothing.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --opening: why; kept in the ledger.")] = "",
    workspace: WorkspaceOption = None,
) -> None:
    """Close a month: check it, freeze it, record the approval, issue its statements. Status 1 if a check does not pass."""
    if opening:
        if waive or accrue:
            raise TollbookError(
                "--opening checks and accrues nothing: leave out --waive and --accrue, or close the month without --opening."
            )
        _settle(Workspace.open(workspace), period.date(), approved_by, reason, dry_run)
        return
    if reason:
        raise TollbookError("--reason goes with --opening: what an ordinary close says is what its checks found and what was waived.")
    try:
        report = closing.close(Workspace.open(workspace), period.date(), approved_by, dry_run, waive or (), accrue, tell)
    except closing.NotClosed as error:
        console.print(_table(error.report))
        raise
    console.print(_table(report))
    if not report.passes:
        raise closing.NotClosed(report)
    if dry_run:
        tell(f"{report.period:%Y-%m} can be closed. Nothing was changed.")
    if report.folder:
        # said before the table, it is out of sight
        tell(f"{report.period:%Y-%m} is closed: {report.postings:,} postings kept in {report.folder}, {report.statements} statements")


def _settle(workspace: Workspace, period: date, approved_by: str, reason: str, dry_run: bool) -> None:
    found = settling.settle(workspace, period, approved_by, reason, dry_run, tell)
    table = Table(title=f"Opening balance up to {period:%Y-%m}", box=box.SIMPLE)
    for name in ("month", "postings", f"charged in {workspace.currency}"):
        table.add_column(name, justify="left" if name == "month" else "right")
    for month in found.months:
        table.add_row(f"{month.period:%Y-%m}", f"{month.postings:,}", f"{month.charged_cost:,.2f}")
    table.add_section()
    table.add_row("all", f"{sum(month.postings for month in found.months):,}", f"{sum(month.charged_cost for month in found.months):,.2f}")
    console.print(table)
    if dry_run:
        tell("Nothing was changed.")


def reopen(
    period: Period,
    approved_by: Annotated[str, typer.Option(help="Who approved it.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Open a closed month again. What was frozen and stated is kept; the next close is a new version."""
    closing.reopen(Workspace.open(workspace), period.date(), approved_by, reason, tell)


def statements(
    period: Period,
    draft: Annotated[bool, typer.Option("--draft", help="Of an open month, marked so; nothing is recorded.")] = False,
    version: Annotated[
        int | None,
        typer.Option(help="Issue again what an earlier close stated: 1 for the first, as in 2026-09/CC-100/1. Nothing is recorded."),
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="For all, such as de_DE; of a closed month with --out. Else as config/recipients.csv says, or en_US.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder; by default statements/<month> of the workspace, of a later close statements/<month>-<version>."
        ),
    ] = None,
    recipient: Annotated[
        list[str] | None, typer.Option(help="Only this cost centre, bucket or tenant; may be given several times.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="PDFs beside the workbooks.")] = True,
    workspace: WorkspaceOption = None,
) -> None:
    """Issue the statements of a closed month as XLSX and PDF, or with --draft those of an open one. Issuing again changes nothing; --version issues those of an earlier close."""
    from tollbook.finance import statements as issuing

    opened = Workspace.open(workspace)
    options = {"locale": locale, "recipients": recipient, "pdf": pdf, "tell": tell}
    if draft and version is not None:
        raise TollbookError("--version is of what was issued, --draft of what was not: give one of them.")
    if draft:
        issued = issuing.issue_draft(opened, period.date(), out, **options)
    else:
        issued = issuing.issue_closed(opened, period.date(), out, version, **options)
    table = Table("statement", "for", f"amount in {issued[0].currency}", "content hash")
    for statement in issued:
        amount = f"{statement.stated_amount:,.{statement.digits}f}"
        said = (statement.statement_id, statement.recipient_kind.replace("_", " "), amount, statement.content_hash[:12])
        table.add_row(*map(escape, said))
    for column in table.columns:
        column.no_wrap = column.header != "for"
    table.columns[1].min_width = len("cost centre")
    table.columns[2].justify = "right"
    console.print(table, crop=False)
    total = sum(statement.stated_amount for statement in issued if statement.recipient_kind != "tenant")
    tell(f"{total:,.{issued[0].digits}f} {issued[0].currency} charged; {len(issued)} statements in {issued[0].files[0].parent}")


def _table(report: closing.CloseReport) -> Table:
    table = Table(title=f"Close of {report.period:%Y-%m}", box=box.SIMPLE)
    for name in ("check", "status", "found", "threshold", "what to do"):
        table.add_column(name, overflow="fold")
    for check in report.checks:
        status = f"[{_COLOURS[check.status]}]{check.status}[/]"
        table.add_row(check.check_id, status, *(escape(text) for text in (check.observed, check.threshold, check.advice)))
    return table
