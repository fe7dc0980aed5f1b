"""Commands for the general ledger: the journal of a month, and the trial balance."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tollbook.console import Format, FormatOption, WorkspaceOption, console, tell
from tollbook.errors import TollbookError
from tollbook.warehouse import lock
from tollbook.workspace import Workspace

_MOMENT = "2026-10-05T12:00 (UTC), 2026-10-05, close:2026-09 or now."
AsOfOption = Annotated[str, typer.Option("--as-of", help=f"As known then: {_MOMENT}")]


def register(app: typer.Typer, export_app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("trial-balance")(trial_balance)
    export_app.command("journal")(export_journal)


def export_journal(
    period: Annotated[str, typer.Option(help="The accounting period, such as 2026-09.")],
    out: Annotated[Path, typer.Option("--out", help="FILE.csv.")],
    as_of: AsOfOption = "now",
    by_project: Annotated[bool, typer.Option("--by-project", help="Lines by project, too.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """A month's postings as balanced journal entries, with the account codes of config/accounts.csv."""
    from tollbook.finance import journal, ledger, moments

    opened = Workspace.open(workspace)
    file = opened.config / "accounts.csv"
    month = moments.period(period)
    accounts = journal.accounts_of(file)
    with lock.reading(opened) as db:
        moment = moments.parse(db, as_of)
        is_closed = month in ledger.closed_periods(db)
        found = journal.lines(db, month, accounts, None if moment.said == "now" else moment.at, by_project)
    journal.export(found, out)
    tell(f"{len({line.entry_number for line in found}):,} entries with {len(found):,} lines in {out}")
    if not is_closed:
        tell(f"{period} is not closed: what is posted until it is will change the journal.")
    if not file.is_file():
        tell(f"account codes are the built-in ones: {file} is not there.")


def trial_balance(
    period: Annotated[str | None, typer.Option(help="One accounting period, such as 2026-09; all by default.")] = None,
    as_of: AsOfOption = "now",
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """What was debited and credited to each account. Status 1 if it does not add up to 0."""
    from tollbook.finance import moments
    from tollbook.finance import trial_balance as balancing
    from tollbook.report.summary import rendered

    opened = Workspace.open(workspace)
    with lock.reading(opened) as db:
        moment = moments.parse(db, as_of)
        found = balancing.balances(db, moment.at, period and moments.period(period))
    if format is Format.table:
        console.print(rendered(balancing.table(found, str(moment), opened.currency)), crop=False)
    elif format is Format.json:
        print(json.dumps(found, default=str, indent=2))
    elif found:
        writer = csv.DictWriter(sys.stdout, found[0])
        writer.writeheader()
        writer.writerows(found)
    total = sum(row["balance_cost"] for row in found)
    if total:
        raise TollbookError(f"the trial balance adds up to {total}, not to 0.")
