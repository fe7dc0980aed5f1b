"""What stands: a summary, the state of things, and any query."""

from __future__ import annotations

import csv
import json
import sys

import duckdb
import typer
from rich.table import Table

from tollbook.commands.console import Format, FormatOption, WorkspaceOption, console
from tollbook.errors import TollbookError
from tollbook.warehouse import publication
from tollbook.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(summary)
    app.command()(status)
    app.command()(query)


def summary(workspace: WorkspaceOption = None) -> None:
    """Where the money went, from what is published."""
    from tollbook.report.summary import print_summary

    opened = Workspace.open(workspace)
    publication.connect(opened).close()
    print_summary(opened.published_db, console)


def status(workspace: WorkspaceOption = None) -> None:
    """What arrived, what is stale or failed, what is in quarantine, and when was published."""
    from tollbook.report import status as standing

    for table in standing.tables(Workspace.open(workspace)):
        console.print(table)


def query(
    sql: str,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Ask the published marts with SQL, read-only."""
    with publication.connect(Workspace.open(workspace)) as db:
        try:
            result = db.sql(sql)
        except duckdb.Error as error:
            raise TollbookError(str(error)) from error
        if result is None:
            return
        if format is Format.csv:
            # not through a data frame: a decimal keeps every digit
            writer = csv.writer(sys.stdout)
            writer.writerow(result.columns)
            writer.writerows(result.fetchall())
        elif format is Format.json:
            rows = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
            print(json.dumps(rows, default=str, indent=2))
        else:
            table = Table(*result.columns)
            for row in result.fetchall():
                table.add_row(*("" if value is None else str(value) for value in row))
            console.print(table)
