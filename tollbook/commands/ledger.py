"""Commands of what the ledger knew when: chargeback as of a moment, its balance, what it recorded, restatements, disputes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tollbook.commands.console import MOMENT, AsOfOption, Format, FormatOption, WorkspaceOption, show, tell, write
from tollbook.errors import TollbookError
from tollbook.warehouse import lock
from tollbook.workspace import Workspace


class Payer(StrEnum):
    team = "team"
    cost_centre = "cost_centre"
    component = "component"
    bucket = "bucket"
    tenant = "tenant"


PeriodOption = Annotated[str | None, typer.Option(help="A month, such as 2026-09; all by default.")]
ByOption = Annotated[str, typer.Option("--by", help="Who says it.")]
NoteOption = Annotated[str, typer.Option(help="Why, in a sentence.")]

ledger_app = typer.Typer(no_args_is_help=True, help="What the ledger recorded, and when.")
dispute_app = typer.Typer(no_args_is_help=True, help="What is said against a line of a statement, and what came of it.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(chargeback)
    app.command()(restatement)
    app.command("trial-balance")(trial_balance)
    app.add_typer(ledger_app, name="ledger")
    app.add_typer(dispute_app, name="dispute")


def chargeback(
    period: PeriodOption = None,
    as_of: AsOfOption = "now",
    by: Annotated[Payer, typer.Option(help="What to tell apart.")] = Payer.team,
    accounting: Annotated[bool, typer.Option("--accounting", help="By the month it was posted in, not the month of usage.")] = False,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Who is charged what, as the ledger knew it at any moment."""
    from tollbook.finance import as_of as known
    from tollbook.finance import moments

    with lock.reading(Workspace.open(workspace)) as db:
        moment = moments.parse(db, as_of)
        found = known.chargeback(db, moment, by.value, period and moments.period(period), accounting)
    show(format, found, {"known_at": moment.at, "rows": found}, known.table(found, moment, by.value))


def restatement(
    since: Annotated[str, typer.Option("--from", help=f"The earlier moment: {MOMENT}")],
    until: Annotated[str, typer.Option("--to", help="The later moment.")] = "now",
    period: PeriodOption = None,
    by: Annotated[Payer, typer.Option(help="What to tell apart.")] = Payer.team,
    out: Annotated[Path | None, typer.Option(help="Write FILE.csv or FILE.json instead of printing it.")] = None,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """What is known of a month of usage at one moment and was not at an earlier one, and why."""
    from tollbook.finance import moments
    from tollbook.finance import restatement as restating
    from tollbook.report import restatement as report

    if out and out.suffix not in (".csv", ".json"):
        raise TollbookError(f"{out} cannot be written: name a file that ends in .csv or .json.")
    with lock.reading(Workspace.open(workspace)) as db:
        found = restating.restate(db, moments.parse(db, since), moments.parse(db, until), period and moments.period(period), by.value)
    if out:
        with out.open("w", newline="") as file:
            write(report.records(found), report.document(found), Format(out.suffix[1:]), file)
        tell(f"restatement from {found.since} to {found.until} in {out}")
    else:
        show(format, report.records(found), report.document(found), *report.tables(found))


def trial_balance(
    period: Annotated[str | None, typer.Option(help="One accounting period, such as 2026-09; all by default.")] = None,
    as_of: AsOfOption = "now",
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """What was debited and credited to each account. Status 1 if it does not add up to 0."""
    from tollbook.finance import moments
    from tollbook.finance import trial_balance as balancing

    opened = Workspace.open(workspace)
    with lock.reading(opened) as db:
        moment = moments.parse(db, as_of)
        found = balancing.balances(db, moment.at, period and moments.period(period))
    show(format, found, found, balancing.table(found, str(moment), opened.currency))
    total = sum(row["balance_cost"] for row in found)
    if total:
        raise TollbookError(f"the trial balance adds up to {total}, not to 0.")


@ledger_app.command("runs")
def ledger_runs(workspace: WorkspaceOption = None, format: FormatOption = Format.table) -> None:
    """When something was posted, and months closed or reopened: the moments that --as-of can name."""
    from tollbook.finance import moments

    with lock.reading(Workspace.open(workspace)) as db:
        found = moments.recorded(db)
    show(format, found, found, moments.table(found))


@ledger_app.command("adjustments")
def ledger_adjustments(
    period: str,
    as_of: AsOfOption = "now",
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """What was posted in a month for usage of other months, by payer and reason."""
    from tollbook.finance import moments
    from tollbook.finance import restatement as restating
    from tollbook.report import restatement as report

    with lock.reading(Workspace.open(workspace)) as db:
        month, moment = moments.period(period), moments.parse(db, as_of)
        found = restating.adjustments(db, month, moment)
    show(format, found, found, report.adjustments(found, month))


@dispute_app.command("raise")
def dispute_raise(
    statement_id: str,
    line: int,
    by: ByOption,
    note: NoteOption,
    amount: Annotated[str | None, typer.Option(help="How much of the line, such as 12.34; all of it by default.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Dispute LINE of STATEMENT_ID, such as 2026-09/CC-100/1."""
    from tollbook.finance import disputes

    disputes.raise_dispute(Workspace.open(workspace), statement_id, line, by, note, amount, tell)


@dispute_app.command("answer")
def dispute_answer(dispute_id: str, by: ByOption, note: NoteOption, workspace: WorkspaceOption = None) -> None:
    """Answer a dispute; it stays open."""
    from tollbook.finance import disputes

    disputes.follow(Workspace.open(workspace), dispute_id, "answered", by, note, tell)


@dispute_app.command("accept")
def dispute_accept(dispute_id: str, by: ByOption, note: NoteOption, workspace: WorkspaceOption = None) -> None:
    """Accept a dispute: a rule change or a correction of the bill must follow, which alone moves money."""
    from tollbook.finance import disputes

    disputes.follow(Workspace.open(workspace), dispute_id, "accepted", by, note, tell)


@dispute_app.command("reject")
def dispute_reject(dispute_id: str, by: ByOption, note: NoteOption, workspace: WorkspaceOption = None) -> None:
    """Reject a dispute: the line stays as it was stated."""
    from tollbook.finance import disputes

    disputes.follow(Workspace.open(workspace), dispute_id, "rejected", by, note, tell)


@dispute_app.command("list")
def dispute_list(
    statement: Annotated[str | None, typer.Option(help="Only those of this statement.")] = None,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Disputes and what they stand at."""
    from tollbook.finance import disputes, moments

    with lock.reading(Workspace.open(workspace)) as db:
        found = disputes.listed(db, moments.now(db).at, statement)
    show(format, found, found, disputes.table(found))
