"""The opening balance: months that were settled in the books kept before this ledger count as closed, unchecked, unfrozen and unstated.

From then on they are closed months like any other: what changes of them is posted in the next open month.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import duckdb

from tollbook import pipeline
from tollbook.errors import TollbookError
from tollbook.finance import close, ledger, periods
from tollbook.warehouse import lock, schema
from tollbook.workspace import Workspace

REASON = "opening balance"


@dataclass(frozen=True)
class Month:
    """A month that the opening balance counts (its first day), how many postings it has, and what they charge."""

    period: date
    postings: int
    charged_cost: Decimal


@dataclass(frozen=True)
class Opening:
    """The opening balance up to ``period``: its months, oldest first, and when it was recorded; None where it only would be."""

    period: date
    months: tuple[Month, ...]
    recorded_at: datetime | None = None


def settle(
    workspace: Workspace, period: date, approved_by: str, reason: str = "", dry_run: bool = False, tell: Callable[[str], None] = print
) -> Opening:
    """Count ``period`` (first of a month) and every open month before it that was posted in as settled before the ledger began.

    With ``dry_run`` only say which months these are. Recorded are all of them at one moment, or none.

    Raises:
        ClosedAlready: ``period`` is closed.
        TollbookError: nobody is named, the newest build is not posted, nothing is posted in ``period``, it is not over, or the ledger
            itself closed it or an earlier month before.
    """
    if not dry_run and not approved_by.strip():
        raise TollbookError(f"{period:%Y-%m} is not counted as settled: say who approved it, with --approved-by.")
    workspace.require_warehouse()
    with lock.writing(workspace, "tollbook close --opening", tell=tell):
        if dry_run:
            with workspace.connect(read_only=True) as db, schema.built():
                return Opening(period, _months(db, workspace, period))
        with pipeline.recorded(workspace, "opening"), workspace.connect() as db:
            months = _months(db, workspace, period)
            recorded_at = _record(db, months, approved_by, reason)
    tell(f"{_span(months)} settled before the ledger began; what changes of it is posted in the next open month")
    return Opening(period, months, recorded_at)


def _months(db: duckdb.DuckDBPyConnection, workspace: Workspace, period: date) -> tuple[Month, ...]:
    refused = f"{period:%Y-%m} is not counted as settled"
    if period in ledger.closed_periods(db):
        raise close.closed_already(db, workspace, period)
    (own,) = db.execute("select min(accounting_period) from ledger.period_events where event = 'closed' and folder is not null").fetchone()
    if own is not None and own <= period:
        raise TollbookError(
            f"{refused}: this ledger closed {own:%Y-%m} itself, and the opening balance lies before all that it closes."
            f" Close {period:%Y-%m} in the ordinary way, without --opening."
        )
    if not ledger.is_posted(db):
        raise TollbookError(f"{refused}: the ledger does not have the newest build yet. Run `tollbook run`, or `tollbook post`, first.")
    end, is_over = db.execute(
        # data may be ahead of the clock, as a sample's is
        "select last_day($period::date), $period::date + interval 1 month <= greatest(now()::timestamp, (select horizon_at from meta.build_state))",
        {"period": period},
    ).fetchone()
    if not is_over:
        raise TollbookError(f"{refused}: it is not over before the end of {end}. Name the last month that was settled before.")
    wanted = [*periods.open_before(db, period), period]
    found = tuple(Month(*row) for row in db.execute(_COUNTED, [wanted]).fetchall())
    if period not in {month.period for month in found}:
        last = f"the last open month before it that was posted in is {found[-1].period:%Y-%m}" if found else "no month before it is open"
        raise TollbookError(f"{refused}: nothing is posted in it; {last}.")
    return found


def _record(db: duckdb.DuckDBPyConnection, months: tuple[Month, ...], approved_by: str, reason: str) -> datetime:
    """Record that the months are closed, all at one moment; when."""
    said = f"{REASON}: {reason.strip()}" if reason.strip() else REASON
    db.begin()
    try:
        moment = ledger.next_moment(db)
        for month in months:
            periods.record(db, month.period, "closed", moment, approved_by, said)
        db.commit()
    except BaseException:
        db.rollback()
        raise
    return moment


def _span(months: tuple[Month, ...]) -> str:
    first, last = months[0].period, months[-1].period
    return f"{last:%Y-%m} counts as" if first == last else f"{len(months)} months, {first:%Y-%m} to {last:%Y-%m}, count as"


_COUNTED = """
select accounting_period, count(*), coalesce(sum(posted_cost) filter (where bucket is not null), 0)::decimal(38, 12)
from ledger.postings where list_contains(?::date[], accounting_period) group by accounting_period order by accounting_period
"""
