"""Where the money went: billed, effective, and what the effective cost was charged to. The parts must be the whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import duckdb

from tollbook.report import figures
from tollbook.report.formats import difference, exact, month, total

#: Billing periods that get a column of their own; older ones share one.
SHOWN_PERIODS = 3
#: Chargeback keeps 12 decimals a row; what sums of it may differ by from a bill of 20 decimals.
LAST_DIGITS = Decimal("0.000001")

#: Where a cost went, in the order in which it is told. A bucket that is not named here is told after them.
BUCKETS = {
    "allocated": "allocated to teams",
    "idle": "idle (held by nobody)",
    "down": "down (could not be used)",
    "stranded": "stranded (could not be held)",
    "unknown": "unknown (no evidence of use)",
    "unowned": "unowned (no owner found)",
    "unused_commitment": "unused commitment",
    "rounding": "rounding",
}


@dataclass(frozen=True)
class Money:
    """Lines of cost (name to one value a column) in ``currency``; the last column is the total."""

    currency: str | None
    columns: tuple[str, ...]
    lines: dict[str, tuple[Decimal | None, ...]]
    #: the newest billing periods, newest first
    shown: tuple[date | None, ...]
    lines_without_cost: int
    #: what each bucket cost before shared costs moved, in all
    before_sharing: dict[str, Decimal]

    @property
    def is_empty(self) -> bool:
        return not self.shown

    def whole(self, line: str) -> Decimal | None:
        """The line's total."""
        values = self.lines.get(line)
        return values[-1] if values else None

    def share(self, line: str) -> float | None:
        """What part of the cost to charge the line is."""
        return self.part_of_charge(self.whole(line))

    def part_of_charge(self, cost: Decimal | None) -> float | None:
        """What part of the cost to charge that is."""
        all_of_it = self.whole("to_charge")
        return float(cost / all_of_it) if cost is not None and all_of_it else None

    @property
    def is_shared(self) -> bool:
        """Whether shared costs moved from what bore them."""
        return any(cost != self.whole(bucket) for bucket, cost in self.before_sharing.items())

    @property
    def buckets(self) -> list[str]:
        return [line for line in self.lines if line not in _OTHER_LINES]

    @property
    def adds_up(self) -> bool | None:
        """Whether the parts are the whole in every column; None where there is nothing to compare."""
        known = [value for value in self.lines["difference"] if value is not None]
        return all(value.copy_abs() < LAST_DIGITS for value in known) if known else None

    @property
    def verdict(self) -> str:
        if self.adds_up is None:
            return "Nothing to add up: there is no bill, or nothing was charged from one."
        left = total(value.copy_abs() for value in self.lines["difference"][:-1] or self.lines["difference"] if value is not None)
        if not self.adds_up:
            return f"DOES NOT ADD UP: {exact(left)} {self.currency} between what there was to charge and its parts."
        if left:
            return f"Adds up to the 12 digits that chargeback keeps; {exact(left)} {self.currency} is beyond them."
        return "Adds up to the last digit."


_OTHER_LINES = ("billed", "effective", "estimated", "to_charge", "parts", "difference")


def read(db: duckdb.DuckDBPyConnection) -> Money:
    """The money of everything published: newest billing periods in columns, the older ones in one, and the total.

    Raises:
        TollbookError: the marts mix currencies.
    """
    billed = {row["billing_period"]: row for row in figures.rows(db, "billed")}
    charged = figures.rows(db, "charged")
    periods = [row["billing_period"] for row in figures.rows(db, "periods")]
    shown, older = tuple(periods[:SHOWN_PERIODS]), periods[SHOWN_PERIODS:]
    groups = ([("earlier", older)] if older else []) + [(month(period), [period]) for period in reversed(shown)]
    if len(groups) > 1:
        groups.append(("total", periods))

    def bill(column: str, members: list) -> Decimal | None:
        return total(billed[period][column] for period in members if period in billed)

    def charge(members: list, **wanted: str) -> Decimal | None:
        rows = [row for row in charged if row["billing_period"] in members]
        if not rows:
            return None
        # there is a chargeback and nothing of this kind in it: that is a zero, not a gap
        return total([Decimal(0), *(row["charged_cost"] for row in rows if wanted.items() <= row.items())])

    buckets = [*BUCKETS, *sorted({row["bucket"] for row in charged} - BUCKETS.keys())]
    columns: list[dict[str, Decimal | None]] = []
    for _, members in groups:
        column = {
            "billed": bill("billed_cost", members),
            "effective": bill("effective_cost", members),
            "estimated": charge(members, basis="estimated"),
        }
        column["to_charge"] = total([column["effective"], column["estimated"]])
        column |= {bucket: charge(members, bucket=bucket) for bucket in buckets}
        column["parts"] = total(column[bucket] for bucket in buckets)
        column["difference"] = difference(column["to_charge"], column["parts"])
        columns.append(column)
    names = [*_OTHER_LINES[:4], *buckets, *_OTHER_LINES[4:]]
    return Money(
        currency=figures.currency(db),
        columns=tuple(title for title, _ in groups),
        lines={name: tuple(column[name] for column in columns) for name in names},
        shown=shown,
        before_sharing={
            bucket: total(row["direct_cost"] for row in charged if row["bucket"] == bucket) for bucket in {row["bucket"] for row in charged}
        },
        lines_without_cost=sum(row["lines_without_effective_cost"] for row in billed.values()),
    )
