"""How numbers are written: thousands separators, two decimals, a dash for the unknown; nothing rounds to zero."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal, localcontext
from pathlib import Path

UNKNOWN = "–"

Number = Decimal | float | int


def amount(value: Number | None) -> str:
    """Money to the cent; what is less than half a cent, but not nothing, says so."""
    return _decimals(value, 2)


def rate(value: Number | None) -> str:
    """Cost per unit, with four decimals: a million tokens can cost cents."""
    return _decimals(value, 4)


def hours(value: Number | None) -> str:
    return _decimals(value, 2)


def exact(value: Decimal | int | None) -> str:
    """Money with every digit it has, and at least two: for differences, where the last digit counts."""
    if value is None:
        return UNKNOWN
    whole, _, decimals = f"{value:,f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def count(value: Number | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def observed(value: float | None) -> str:
    """What a check measured, whatever its unit."""
    return UNKNOWN if value is None else f"{value:,.6g}"


def counted(value: int, what: str) -> str:
    """A number of things: "1 row", "2 rows"."""
    return f"{count(value)} {what}{'' if value == 1 else 's'}"


def ratio(value: Number | None) -> str:
    """A share as percent, one decimal; never 100.0 % for less than all, never 0.0 % for more than nothing."""
    if value is None:
        return UNKNOWN
    percent = 100 * value
    if 99.95 <= percent < 100:
        return ">99.9 %"
    if 0 < percent < 0.05:
        return "<0.1 %"
    return f"{percent:,.1f} %"


def month(value: date | None) -> str:
    return "no period" if value is None else f"{value:%Y-%m}"


def moment(value: datetime | None) -> str:
    return UNKNOWN if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def text(value: object) -> str:
    return UNKNOWN if value is None else str(value)


def total(values: Iterable[Decimal | None]) -> Decimal | None:
    """Exact sum of what is known; None where nothing is. (Python's default of 28 digits would round.)"""
    known = [value for value in values if value is not None]
    with localcontext(prec=76):
        return sum(known, Decimal(0)) if known else None


def difference(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    """``left - right``, exactly; None where one of them is not known."""
    return None if left is None or right is None else total([left, right.copy_negate()])


def _decimals(value: Number | None, places: int) -> str:
    if value is None:
        return UNKNOWN
    written = f"{value:,.{places}f}"
    if value != 0 and not written.strip("-0."):
        least = f"{10**-places:.{places}f}"
        return f"<{least}" if value > 0 else f">-{least}"
    return written


def plain(value):
    """The same for JSON and CSV: amounts with every digit, dates and paths as written, nothing else touched."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Decimal):
        # a Decimal that is zero would be 0E-12
        return f"{value:f}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
