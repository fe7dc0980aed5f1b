"""Moments: what the ledger knew at one is what was recorded until then. Which there are, and how they are said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance import ledger, periods
from tollbook.report.formats import amount, count, month
from tollbook.report.tables import Row, Table, headings
from tollbook.warehouse.records import records

_CLOSE = re.compile(r"close:(\d{4}-\d{2})(?:/(\d+))?")
_LEDGER = """
with posted as (
    select run_id, recorded_at, count(*) as postings, accounting_period, reason,
        sum(posted_cost) filter (where bucket is not null) as posted_cost
    from ledger.postings group by all
),

runs as (
    select
        recorded_at, run_id, 'posted' as event, null::date as accounting_period,
        string_agg(distinct strftime(accounting_period, '%Y-%m'), ', ' order by strftime(accounting_period, '%Y-%m')) as posted_in,
        sum(postings)::bigint as postings, sum(posted_cost)::decimal(38, 12) as posted_cost, null as said_by, null as note,
        null::bigint as close_number
    from posted group by recorded_at, run_id
),

reasons as (
    select run_id, recorded_at, map_from_entries(list((reason, charged) order by reason)) as by_reason
    from (
        select run_id, recorded_at, reason, sum(posted_cost)::decimal(38, 12) as charged from posted
        where posted_cost is not null group by all
    )
    group by all
)

select runs.*, reasons.by_reason from runs left join reasons using (run_id, recorded_at)
union all
select
    recorded_at, null, event, accounting_period, null, null, null, approved_by, reason,
    -- the opening balance is no close of its own
    case when folder is not null then row_number() over (partition by accounting_period, folder is null order by recorded_at) end, null
from ledger.period_events
order by recorded_at, event, accounting_period
"""


@dataclass(frozen=True)
class Moment:
    """A moment (UTC, without a zone) and what it was called; ``is_ahead``: more may be recorded until then."""

    at: datetime
    said: str
    is_ahead: bool = False

    def __str__(self) -> str:
        written = f"{self.at.isoformat(sep=' ')} UTC"
        return f"{written} ({self.said})" if self.said in ("now",) or self.said.startswith("close:") else written


def now(db: duckdb.DuckDBPyConnection) -> Moment:
    """The newest moment: all that is recorded was recorded before."""
    return Moment(ledger.next_moment(db), "now")


def parse(db: duckdb.DuckDBPyConnection, said: str) -> Moment:
    """A moment as people say it: ``2026-10-05T12:00`` (UTC unless it names an offset), ``2026-10-05`` (its first moment), ``now``,
    ``close:2026-09``, when that month was closed last, or ``close:2026-09/1``, when it was closed first.

    Raises:
        TollbookError: it is none of these, or the month was never, or not so often, closed.
    """
    said = said.strip()
    newest = now(db)
    if said == "now":
        return newest
    if match := _CLOSE.fullmatch(said):
        return Moment(_closed_at(db, period(match[1]), match[2] and int(match[2])), said)
    try:
        at = datetime.fromisoformat(said)
    except (ValueError, OverflowError):
        raise TollbookError(
            f"`{said}` is no moment: write 2026-10-05T12:00 (UTC), 2026-10-05, close:2026-09 (the last close), close:2026-09/1 (the first)"
            " or now. `tollbook ledger runs` lists when something was recorded."
        ) from None
    if at.tzinfo is not None:
        at = at.astimezone(UTC).replace(tzinfo=None)
    return Moment(at, said, at > newest.at)


def period(said: str) -> date:
    """The first day of a month written as 2026-09.

    Raises:
        TollbookError: it is no month.
    """
    try:
        return datetime.strptime(said, "%Y-%m").date()
    except (ValueError, OverflowError):
        raise TollbookError(f"`{said}` is no month: write it as 2026-09.") from None


def recorded(db: duckdb.DuckDBPyConnection) -> list[dict]:
    """What was recorded, oldest first: a row per run that posted something (``posted_cost``: what is charged more or less, and
    ``by_reason``) and per month closed (``close_number``: 1 the first time) or reopened."""
    return records(db, _LEDGER)


def table(found: list[dict]) -> Table:
    """What was recorded, as a table of the report."""
    cells = []
    for row in found:
        if row["event"] == "posted":
            why = ", ".join(f"{reason} {amount(cost)}" for reason, cost in (row["by_reason"] or {}).items())
            what = f"{count(row['postings'])} postings in {row['posted_in']}"
            cells.append(Row((_moment(row), what, amount(row["posted_cost"]), why, row["run_id"])))
        else:
            who = f"by {row['said_by']}" + (f": {row['note']}" if row["note"] else "")
            what = f"{month(row['accounting_period'])} {row['event']}"
            if row["close_number"]:
                what += f" (close:{month(row['accounting_period'])}/{row['close_number']})"
            cells.append(Row((_moment(row), what, "", who, ""), "bucket"))
    return Table(
        "ledger-runs",
        "What the ledger recorded",
        headings("<recorded at (UTC)", "<what", "charged more or less", "<why", "<run"),
        cells,
        "Nothing is posted yet. Run `tollbook run`.",
        "Each is a moment for --as-of, --from and --to. Runs that had nothing to post are left out.",
    )


def _closed_at(db: duckdb.DuckDBPyConnection, closed: date, number: int | None) -> datetime:
    found = periods.closes(db, closed)
    if not found:
        months = [row[0] for row in db.execute("select distinct accounting_period from ledger.period_events order by 1").fetchall()]
        known = f"these were: {', '.join(month(one) for one in months)}." if months else "no month was."
        raise TollbookError(f"{month(closed)} was never closed; {known}")
    if number is None:
        return found[-1].recorded_at
    for one in found:
        if one.number == number:
            return one.recorded_at
    known = ", ".join(f"close:{month(closed)}" + (f"/{one.number}" if one.number else "") for one in found)
    raise TollbookError(f"there is no close:{month(closed)}/{number}; there are: {known}.")


def _moment(row: dict) -> str:
    return row["recorded_at"].isoformat(timespec="microseconds")
