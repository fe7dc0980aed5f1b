"""What a run ends by printing: where the money went, who pays, what a GPU-hour and a token cost, what ties."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from textwrap import fill

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

from tollbook.report import bills, evidence, figures, money, tables
from tollbook.report.formats import moment
from tollbook.report.tables import Table

STYLES = {"total": "bold", "bucket": "italic", "good": "green", "bad": "bold red", "warn": "yellow"}
#: Characters: a name up to `SHORT` stays on its line, one over `LONGEST_NAME` gets several.
SHORT = 20
LONGEST_NAME = 40
WIDEST = 1000

#: Commands that show more, and what they show.
LOOK_NEXT = (
    ("any published mart", 'tollbook query "from finance.fct_chargeback"'),
    ("the dearest jobs", 'tollbook query "from engineering.fct_jobs order by cost desc nulls last limit 10"'),
    ("one job, down to bill and telemetry", "tollbook explain job JOB"),
    ("one team's day", "tollbook explain team-day TEAM DAY"),
    ("what a team is asked to pay", "tollbook statements MONTH --draft"),
    ("what arrived, failed or is stale", "tollbook status"),
)


def print_summary(published_db: Path, console: Console | None = None) -> None:
    """Print what is published in ``published_db`` as tables; amounts in the reporting currency, times in UTC.

    Raises:
        TollbookError: nothing is published there, or its marts mix currencies.
    """
    console = console or Console()
    with figures.published(published_db) as db:
        spent = money.read(db)
        shown = [
            tables.money(spent),
            *tables.chargeback(db, spent, columns=max(3, (console.width - LONGEST_NAME) // 14)),
            *(table for table in [tables.shared(db, spent.currency)] if table.rows),
            tables.gpu_costs(db, spent.currency),
            tables.token_costs(db, spent.currency),
            bills.invoices(db),
            bills.commitments(db, spent.currency),
            evidence.tag_coverage(db, spent.currency),
            evidence.proof(db, spent.currency),
            evidence.checks(db, brief=True),
        ]
        console.print(_headline(figures.publication(db)))
        for mart in figures.missing_marts(db):
            console.print(Text(f"Not in the published file: {mart}.", style=STYLES["bad"]))
    for table in shown:
        console.print()
        console.print(rendered(table), crop=False)
    console.print()
    console.print(Text("Where to look next", style="bold"))
    console.print(_look_next(published_db.parent), crop=False)


def _headline(publication: dict) -> Text:
    role, standing = figures.standing(publication)
    if publication:
        newest = publication["newest_usage_date"] or "not known"
        standing = f"{standing}; numbers of {moment(publication['published_at'])}, newest usage {newest}"
    return Text.assemble("Tollbook: ", (standing, STYLES[role]), style="bold")


def rendered(table: Table) -> Group:
    """A table of the report for the terminal: title, grid, notes."""
    notes = [Text(note, style="dim") for note in ([table.caption] if table.caption else []) + table.notes]
    title = Text(table.title, style="bold")
    if not table.rows:
        return Group(title, Text(table.empty))
    grid = Grid(header_style="dim", box=box.SIMPLE, show_edge=False, pad_edge=False)
    for place, column in enumerate(table.columns):
        # a number that wraps is read wrongly: it keeps its width, and headings and sentences make room
        longest = max(cell_len(row.cells[place]) for row in table.rows)
        grid.add_column(
            Text(fill(column.title, 12, break_long_words=False) if column.right else column.title),
            justify="right" if column.right else "left",
            overflow="fold",
            min_width=longest if column.right else min(longest, SHORT),
            max_width=None if column.right else LONGEST_NAME,
        )
    for row, following in zip_longest(table.rows, table.rows[1:]):
        # Text, not str: a name from a bill is never markup
        ends = row.role == "total" or (following and following.role in ("bucket", "total") and following.role != row.role)
        grid.add_row(*(Text(cell) for cell in row.cells), style=STYLES.get(row.role), end_section=bool(ends))
    return Group(title, Whole(grid), *notes)


class Whole:
    """A grid that is never cut: where the terminal is too narrow for its numbers, the lines are longer."""

    def __init__(self, grid: Grid):
        self.grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = Measurement.get(console, options.update(width=WIDEST), self.grid).minimum
        yield from console.render(self.grid, options.update(width=max(needed, options.max_width)))


def _look_next(published: Path) -> Whole:
    grid = Grid.grid(padding=(0, 2))
    # the commands as they must be typed where the reader stands
    workspace, here = published.resolve().parent, Path.cwd()
    where = "" if workspace == here else f" -w {workspace.relative_to(here) if workspace.is_relative_to(here) else workspace}"
    places = (
        ("the same as pictures", str(published / "report.html")),
        ("every check and what it saw", str(published / "checks.html")),
        *((what, command + where) for what, command in LOOK_NEXT),
    )
    for column in zip(*places, strict=True):
        grid.add_column(min_width=max(map(cell_len, column)))
    for what, place in places:
        grid.add_row(Text(what), Text(place, style="cyan"))
    return Whole(grid)
