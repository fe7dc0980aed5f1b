"""`tollbook statements`: what a month charged to each cost centre and tenant, as files for finance."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tollbook.console import WorkspaceOption, console, tell
from tollbook.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(statements)


def statements(
    period: Annotated[datetime, typer.Argument(formats=["%Y-%m"], help="The month, such as 2026-09.")],
    draft: Annotated[bool, typer.Option("--draft", help="Of an open month, marked so; nothing is recorded.")] = False,
    locale: Annotated[
        str | None, typer.Option(help="For all, such as de_DE; of a closed month with --out. Else as config/recipients.csv says, or en_US.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; statements/<month> of the workspace by default.")] = None,
    recipient: Annotated[
        list[str] | None, typer.Option(help="Only this cost centre, bucket or tenant; may be given several times.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="PDFs beside the workbooks.")] = True,
    workspace: WorkspaceOption = None,
) -> None:
    """Issue the statements of a closed month as XLSX and PDF, or with --draft those of an open one. Issuing again changes nothing."""
    from tollbook.finance import statements as issuing

    write = issuing.issue_draft if draft else issuing.issue_closed
    opened = Workspace.open(workspace)
    issued = write(opened, period.date(), out, locale=locale, recipients=recipient, pdf=pdf, tell=tell)
    table = Table("statement", "for", f"amount in {issued[0].currency}", "content hash")
    for statement in issued:
        amount = f"{statement.stated_amount:,.2f}"
        said = (statement.statement_id, statement.recipient_kind.replace("_", " "), amount, statement.content_hash[:12])
        table.add_row(*map(escape, said))
    for column in table.columns:
        column.no_wrap = column.header != "for"
    table.columns[1].min_width = len("cost centre")
    table.columns[2].justify = "right"
    console.print(table, crop=False)
    total = sum(statement.stated_amount for statement in issued if statement.recipient_kind != "tenant")
    tell(f"{total:,.2f} {issued[0].currency} charged; {len(issued)} statements in {issued[0].files[0].parent}")
