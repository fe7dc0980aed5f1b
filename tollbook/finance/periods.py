"""Accounting periods: which are closed, and the events that closed and reopened them, which are never taken back."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance.ledger import closed_periods

#: What there is to say of a month that the opening balance closed: no close kept a folder of it.
OPENING = "settled before the ledger began: nothing was frozen; reopen and close it to state it"


class Close(NamedTuple):
    """One close of a month: when, what it froze (folder and hash), and its number, 1 for the first. The opening balance froze nothing and
    has no number."""

    recorded_at: datetime
    folder: str | None
    content_hash: str | None
    number: int | None


def record(
    db: duckdb.DuckDBPyConnection,
    period: date,
    event: str,
    recorded_at: datetime,
    approved_by: str,
    reason: str,
    content_hash: str | None = None,
    folder: str | None = None,
) -> None:
    """Add that ``period`` (first of its month) was ``closed`` or ``reopened``; belongs into the caller's transaction.

    Raises:
        TollbookError: it is no first of a month, nobody is named, a closed period is closed or an open one reopened, or a month before
            it is still open.
    """
    if period.day != 1:
        raise TollbookError(f"{period} is no accounting period: name the first day of a month.")
    if not approved_by.strip():
        raise TollbookError(f"{period:%Y-%m} is not {event}: say who approved it.")
    closed = closed_periods(db)
    if (event == "closed") == (period in closed):
        raise TollbookError(f"{period:%Y-%m} is {'closed already' if event == 'closed' else 'not closed'}.")
    if event == "closed":
        earlier = open_before(db, period)
        if earlier:
            raise TollbookError(f"{period:%Y-%m} is not closed: {earlier[0]:%Y-%m} is still open. Months are closed in their order.")
    db.execute(
        "insert into ledger.period_events by name select ?::date as accounting_period, ? as event, ?::timestamp as recorded_at, ? as approved_by,"
        " ? as reason, ? as content_hash, ? as folder",
        [period, event, recorded_at, approved_by, reason, content_hash, folder],
    )


def open_before(db: duckdb.DuckDBPyConnection, period: date) -> list[date]:
    """The months before ``period`` that were posted in and are open, in order."""
    found = db.execute(
        "select distinct accounting_period from ledger.postings where accounting_period < ?"
        " and not list_contains(?::date[], accounting_period) order by 1",
        [period, closed_periods(db)],
    ).fetchall()
    return [month for (month,) in found]


def hash_of(db: duckdb.DuckDBPyConnection, folder: str) -> str | None:
    """The hash of what a close kept in ``folder`` (its name within the folder of closed months); None where no close did."""
    row = db.execute("select content_hash from ledger.period_events where event = 'closed' and folder = ?", [folder]).fetchone()
    return row and row[0]


def kept(db: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """The folder of each close, and the hash of what is in it."""
    return db.execute(
        "select folder, content_hash from ledger.period_events where event = 'closed' and folder is not null order by recorded_at"
    ).fetchall()


def kept_after(db: duckdb.DuckDBPyConnection, period: date, moment: datetime) -> tuple[datetime, str, str] | None:
    """The first close of ``period`` at ``moment`` or later: when, its folder and the hash of what is in it; None where there is none."""
    return db.execute(
        "select recorded_at, folder, content_hash from ledger.period_events where accounting_period = ? and event = 'closed'"
        " and recorded_at >= ? and folder is not null order by recorded_at limit 1",
        [period, moment],
    ).fetchone()


def closes(db: duckdb.DuckDBPyConnection, period: date) -> list[Close]:
    """Every close of ``period``, the first one first."""
    rows = db.execute(
        "select recorded_at, folder, content_hash, case when folder is not null then count(folder) over (order by recorded_at) end"
        " from ledger.period_events where accounting_period = ? and event = 'closed' order by recorded_at",
        [period],
    ).fetchall()
    return [Close(*row) for row in rows]


def last_close(db: duckdb.DuckDBPyConnection, period: date) -> Close | None:
    """The last close of ``period``; None where it was never closed."""
    found = closes(db, period)
    return found[-1] if found else None


def is_opening(db: duckdb.DuckDBPyConnection, period: date) -> bool:
    """Whether ``period`` is closed by the opening balance: settled before the ledger began, with nothing kept of it."""
    return period in closed_periods(db) and last_close(db, period).folder is None
