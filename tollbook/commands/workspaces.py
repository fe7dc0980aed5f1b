"""Commands that make, keep and bring back a workspace."""

from __future__ import annotations

import shutil
from calendar import monthrange
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tollbook.commands.console import WorkspaceOption, console
from tollbook.errors import TollbookError
from tollbook.warehouse import state
from tollbook.workspace import SETTINGS_FILE, Workspace

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
_NEW_SETTINGS = """\
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
"""


class Scale(StrEnum):
    s = "s"
    m = "m"
    l = "l"  # noqa: E741


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(init)
    app.command()(demo)
    app.command()(backup)
    app.command()(restore)


def init(directory: Path, sample: Annotated[bool, typer.Option(help="With the bundled sample month.")] = False) -> None:
    """Make a workspace in DIRECTORY: settings, rules and a landing folder to fill."""
    if (directory / SETTINGS_FILE).exists():
        raise TollbookError(f"{directory / SETTINGS_FILE} exists already; nothing was changed.")
    if sample:
        shutil.copytree(SAMPLE, directory, dirs_exist_ok=True)
    else:
        (directory / "landing" / "bill").mkdir(parents=True, exist_ok=True)
        shutil.copytree(SAMPLE / "config", directory / "config", dirs_exist_ok=True)
        for file in (directory / "config").glob("*.csv"):
            file.write_text(file.read_text().splitlines()[0] + "\n")
        (directory / SETTINGS_FILE).write_text(_NEW_SETTINGS)
    console.print(f"Workspace in {directory}. Put files into {directory / 'landing'}, then: tollbook run --workspace {directory}")


def demo(
    directory: Path,
    scale: Annotated[Scale, typer.Option()] = Scale.s,
    days: Annotated[int | None, typer.Option(min=1, help="From 2026-10-01 on; 1 by default.")] = None,
    month: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m"], help="All of a month instead, with its invoices: one that can be closed.")
    ] = None,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Make a workspace with a made-up fleet at SCALE (per day: s 64, m 1,000, l 10,000 GPUs), and the truth it was made from."""
    from tollbook.demo import START, generate

    if (directory / SETTINGS_FILE).exists():
        raise TollbookError(f"{directory / SETTINGS_FILE} exists already; nothing was changed.")
    if days and month:
        raise TollbookError("give either --days or --month: a month has all its days.")
    start = month.date() if month else START
    generate(directory, scale.value, days=monthrange(start.year, start.month)[1] if month else days or 1, seed=seed, start=start)
    console.print(f"Demo fleet in {directory}. Next: tollbook run --workspace {directory}")


def backup(file: Path, workspace: WorkspaceOption = None) -> None:
    """Keep rules, deliveries, warehouse and published marts in one tar FILE."""
    console.print(f"kept in {file} ({state.backup(Workspace.open(workspace), file) / 1e6:,.1f} MB)")


def restore(file: Path, workspace: WorkspaceOption = None) -> None:
    """Bring a backup back into the workspace: all of it, or nothing."""
    root = Path(workspace or ".")
    state.restore(root, file)
    console.print(f"restored {root} from {file}")
