"""Commands of what the ledger knew when: chargeback as of a moment, what it recorded, restatements, disputes."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from tollbook.console import Format, FormatOption, WorkspaceOption, console, tell
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
_MOMENT = "2026-10-05T12:00 (UTC), 2026-10-05, close:2026-09 or now."
ByOption = Annotated[str, typer.Option("--by", help="Who says it.")]
NoteOption = Annotated[str, typer.Option(help="Why, in a sentence.")]

ledger_app = typer.Typer(no_args_is_help=True, help="What the ledger recorded, and when.")
dispute_app = typer.Typer(no_args_is_help=True, help="What is said against a line of a statement, and what came of it.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(chargeback)
    app.command()(restatement)
    app.add_typer(ledger_app, name="ledger")
    app.add_typer(dispute_app, name="dispute")


def chargeback(
    period: PeriodOption = None,
    as_of: Annotated[str, typer.Option("--as-of", help=f"As known then: {_MOMENT}")] = "now",
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
    _show(found, format, [known.table(found, moment, by.value)], {"known_at": moment.at, "rows": found})


def restatement(
    since: Annotated[str, typer.Option("--from", help=f"The earlier moment: {_MOMENT}")],
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
            _write(report.records(found), report.document(found), Format(out.suffix[1:]), file)
        tell(f"restatement from {found.since} to {found.until} in {out}")
    else:
        _show(report.records(found), format, report.tables(found), report.document(found))


@ledger_app.command("runs")
def ledger_runs(workspace: WorkspaceOption = None, format: FormatOption = Format.table) -> None:
    """When something was posted, and months closed or reopened: the moments that --as-of can name."""
    from tollbook.finance import moments

    with lock.reading(Workspace.open(workspace)) as db:
        found = moments.recorded(db)
    _show(found, format, [moments.table(found)], found)


@ledger_app.command("adjustments")
def ledger_adjustments(
    period: str,
    as_of: Annotated[str, typer.Option("--as-of", help=f"As known then: {_MOMENT}")] = "now",
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
    _show(found, format, [report.adjustments(found, month)], found)


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
    _show(found, format, [disputes.table(found)], found)


def _show(records: list[dict], format: Format, tables: list, document) -> None:
    from tollbook.report.summary import rendered

    if format is not Format.table:
        _write(records, document, format, sys.stdout)
        return
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(rendered(table), crop=False)


def _write(records: list[dict], document, format: Format, file: TextIO) -> None:
    from tollbook.report.restatement import plain

    if format is Format.json:
        file.write(json.dumps(plain(document), indent=2) + "\n")
    elif records:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        for row in records:
            writer.writerow({name: json.dumps(one) if isinstance(one, dict | list) else one for name, one in plain(row).items()})
