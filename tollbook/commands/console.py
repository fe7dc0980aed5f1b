"""What all commands have in common: where they print, options that many take, the forms of output."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from tollbook.report.formats import plain
from tollbook.report.summary import rendered
from tollbook.report.tables import Table

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", "-w", envvar="TOLLBOOK_WORKSPACE", help="The workspace; the current folder by default.")
]


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", "-f")]
FirstOption = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")]
LastOption = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, itself too.")]
DayArgument = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])]
MOMENT = "2026-10-05T12:00 (UTC), 2026-10-05, close:2026-09, close:2026-09/1 (its first close) or now."
AsOfOption = Annotated[str, typer.Option("--as-of", help=f"As known then: {MOMENT}")]


def tell(message: str) -> None:
    """Print a line; what it says is never markup."""
    console.print(message, markup=False, soft_wrap=True)


def show(format: Format, records: list[dict], document: object, *tables: Table) -> None:
    """Print tables for people, or records (CSV) or a document (JSON) for machines."""
    if format is not Format.table:
        write(records, document, format, sys.stdout)
        return
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(rendered(table), crop=False)


def write(records: list[dict], document: object, format: Format, file: TextIO) -> None:
    """Write records as CSV or a document as JSON; amounts keep every digit."""
    if format is Format.json:
        file.write(json.dumps(plain(document), indent=2) + "\n")
    elif records:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        for row in records:
            writer.writerow({name: json.dumps(one) if isinstance(one, dict | list) else one for name, one in plain(row).items()})
