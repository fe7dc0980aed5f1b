"""What all commands have in common: where they print, the option that names the workspace, the forms of output."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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


def tell(message: str) -> None:
    """Print a line; what it says is never markup."""
    console.print(message, markup=False, soft_wrap=True)
