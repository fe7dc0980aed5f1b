"""What a check measures, and what became of it; results are kept in ``meta.check_results``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import duckdb

Severity = Literal["warn", "error"]


def number(count: int, noun: str) -> str:
    """``1 day``, ``2 days``, ``3,000 deliveries``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and not noun.endswith("ay") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def exact(text: str | None) -> str:
    """A decimal's text with every digit that says something."""
    return "not computed" if text is None else f"{Decimal(text).normalize():f}"


@dataclass(frozen=True)
class Limit:
    """The inclusive bounds that ``value`` must keep; outside of them the check has ``severity``.

    ``of`` says what ``value`` is where it is not the observed figure itself.
    """

    severity: Severity
    value: float | None
    minimum: float | None
    maximum: float | None
    text: str
    of: str = ""


@dataclass(frozen=True)
class Measure:
    """One check of one subject, computed but not judged yet.

    ``found`` says what was seen, ``advice`` what to do if that is not good. A limit without a value cannot be broken:
    there was nothing to compare. ``expects_rows``: to have seen no row is an error, whatever the limits.
    """

    check_id: str
    subject: str
    found: str
    advice: str
    rows_seen: int
    observed: float | None = None
    limits: tuple[Limit, ...] = ()
    expects_rows: bool = False


def nothing(check_id: str, mart: str, found: str) -> list[Measure]:
    """The one measure of a check that has, rightly, nothing to compare."""
    return [Measure(check_id, mart, found, "", 0)]


@dataclass(frozen=True)
class CheckResult:
    """One judged check: ``severity`` is what it can stop or mark, ``status`` what it did; ``checked_at`` is UTC."""

    check_id: str
    edge: str
    subject: str
    severity: Severity
    status: Literal["pass", "warn", "error"]
    rows_seen: int
    observed: float | None
    threshold: str
    message: str
    checked_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))


_COLUMNS = ", ".join(one.name for one in fields(CheckResult))


def save(db: duckdb.DuckDBPyConnection, run_id: str, results: Sequence[CheckResult]) -> None:
    """Keep the results of a run in ``meta.check_results``, instead of what it had kept of the same edges.

    One transaction; the caller must not have one open.
    """
    if not results:
        return
    db.begin()
    try:
        db.execute(
            "delete from meta.check_results where run_id = ? and edge in (select unnest(?))",
            [run_id, sorted({result.edge for result in results})],
        )
        db.executemany(
            f"insert into meta.check_results (run_id, {_COLUMNS}) values (?{', ?' * len(fields(CheckResult))})",
            [(run_id, *astuple(result)) for result in results],
        )
        db.commit()
    except Exception:
        db.rollback()
        raise
