"""What all explanations write alike: bill lines, amounts, what is left out and what is left over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal

from rich.markup import escape
from rich.tree import Tree

_MOST_LINES = 20


def model_lines(db, branch: Tree, model: str | None, day: date) -> None:
    """The bill lines that name a model and accrue on a day."""
    _add_lines(
        branch,
        db.execute(
            f"{_LINES} where model = ? and charge_period_start < ?::date + interval 1 day"
            " and greatest(charge_period_end, charge_period_start + interval 1 second) > ?"
            " order by abs(reporting_effective_cost) desc, file_name, file_row",
            [model, day, day],
        ).fetchall(),
    )


def bill_lines(db, branch: Tree, node: str | None, start, end) -> None:
    _add_lines(
        branch,
        db.execute(
            f"{_LINES} where resource_id in (select resource_id from engineering.dim_capacity where node = ?)"
            " and charge_period_start < ? and charge_period_end > ? order by abs(reporting_effective_cost) desc, file_name, file_row",
            [node, end, start],
        ).fetchall(),
    )


_LINES = (
    "select file_name, file_row, charge_description, charge_period_start, charge_period_end, reporting_effective_cost, currency_code"
    " from finance.fct_charges"
)


def _add_lines(branch: Tree, rows: list) -> None:
    for row in limited(branch, rows):
        add_line(branch, row)


def add_line(branch: Tree, line: tuple, also: str = "") -> None:
    file, row, description, start, end, cost, currency = line
    branch.add(f"bill: {escape(file)} row {row} · {escape(description or '')} · {start} to {end} · {amount(cost, currency)}{also}")


def limited(branch: Tree, rows: list, cost: Callable | None = None, currency: str = "") -> Iterable:
    """The first rows, then a word on the others: how many, and what they come to where ``cost`` says what one costs."""
    yield from rows[:_MOST_LINES]
    if others := rows[_MOST_LINES:]:
        branch.add(f"and {len(others):,} more" + (f": {exact(sum(map(cost, others)), currency)}" if cost else ""))


def exact(cost: Decimal, currency: str) -> str:
    """An amount with every digit that it has, and cents: what is printed adds up."""
    digits = max(2, -cost.normalize().as_tuple().exponent)
    return f"{cost:,.{digits}f} {currency}"


def amount(cost: Decimal | None, currency: str) -> str:
    return "cost unknown" if cost is None else f"{cost:,.6f} {currency}"


def remainder(branch: Tree, cost: Decimal, currency: str, name: str) -> None:
    """What a level's parts leave of it, under a name of its own; nothing where they leave nothing."""
    if cost:
        branch.add(f"{name}: {exact(cost, currency)}")
