"""The command line. Each command is a thin layer over the function that the DAGs call."""

from __future__ import annotations

import sys

import duckdb
import typer

from tollbook.commands import closing, decisions, explain, export, ledger, nightly, published, workspaces
from tollbook.commands.console import errors
from tollbook.errors import TollbookError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tollbook: what did this GPU-hour, job, inference or token cost, who pays, and can I prove it?",
)
for commands in (workspaces, nightly, published, explain, decisions, ledger, closing, export):
    commands.register(app)


def main() -> None:
    """Run the command line; an error that Tollbook knows ends with its message and exit status 1."""
    try:
        app()
    except (TollbookError, OSError, duckdb.IOException) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
