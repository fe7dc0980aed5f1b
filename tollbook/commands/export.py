"""``tollbook export``: what is published or posted, in a shape that other tools read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tollbook.commands.console import AsOfOption, WorkspaceOption, console, tell
from tollbook.warehouse import lock, publication
from tollbook.workspace import Workspace

export_app = typer.Typer(no_args_is_help=True, help="What is published, in a shape that other tools read.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(export_app, name="export")


@export_app.command("focus")
def export_focus(
    out: Annotated[Path, typer.Option("--out", help="FILE.csv, FILE.csv.gz or FILE.parquet.")],
    period: Annotated[datetime | None, typer.Option(formats=["%Y-%m"], help="One billing period; all by default.")] = None,
    version: Annotated[str, typer.Option(help="Of FOCUS.")] = "1.2",
    workspace: WorkspaceOption = None,
) -> None:
    """The published charges, own ledgers included, as a FOCUS Cost and Usage file."""
    from tollbook.report import focus_export

    with publication.connect(Workspace.open(workspace)) as db:
        rows = focus_export.export_focus(db, out, period.date() if period else None, version)
    console.print(f"{rows:,} charges in {out}", soft_wrap=True)


@export_app.command("journal")
def export_journal(
    period: Annotated[str, typer.Option(help="The accounting period, such as 2026-09.")],
    out: Annotated[Path, typer.Option("--out", help="FILE.csv.")],
    as_of: AsOfOption = "now",
    by_project: Annotated[bool, typer.Option("--by-project", help="Lines by project, too.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """A month's postings as balanced journal entries, with the account codes of config/accounts.csv."""
    from tollbook.finance import journal, ledger, moments, periods

    opened = Workspace.open(workspace)
    file = opened.config / "accounts.csv"
    month = moments.period(period)
    accounts = journal.accounts_of(file)
    with lock.reading(opened) as db:
        moment = moments.parse(db, as_of)
        is_closed, is_opening = month in ledger.closed_periods(db), periods.is_opening(db, month)
        found = journal.lines(db, month, accounts, None if moment.said == "now" else moment.at, by_project)
    journal.export(found, out)
    tell(f"{len({line.entry_number for line in found}):,} entries with {len(found):,} lines in {out}")
    if not found:
        tell("What was posted comes to nothing: take back every entry of this month that was imported before.")
    if not is_closed:
        tell(f"{period} is not closed: what is posted until it is will change the journal.")
    if is_opening:
        tell(f"{period} was settled before the ledger began: the books kept until then have it, so import nothing of it twice.")
    if not file.is_file():
        tell(f"account codes are the built-in ones: {file} is not there.")
