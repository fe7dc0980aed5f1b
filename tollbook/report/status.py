"""What arrived, what is stale, failed or in quarantine, and what is published; one rich table each."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
from rich.markup import escape
from rich.table import Table

from tollbook.finance.ledger import CLOSED
from tollbook.warehouse import lock, publication
from tollbook.workspace import Workspace

_SOURCES = """
select
    source_name, count(*) filter (where is_current), sum(rows_loaded) filter (where is_current),
    sum(rows_quarantined) filter (where is_current), count(*) filter (where status = 'failed'), max(loaded_at) filter (where is_current)
from {deliveries} group by source_name
"""
_FAILED = "select source_name, array_to_string(file_names, ', '), error from {deliveries} where status = 'failed' order by all"
_QUARANTINE = """
select source_name, file_name, column_name, reason, count(*), min(file_row) from {quarantine} group by 1, 2, 3, 4 order by all
"""
_CHECKS = """
select status, check_id, subject, message from {checks}
where status <> 'pass' and run_id = (select run_id from {checks} order by checked_at desc limit 1) order by all
"""
# an earlier version may have made the warehouse
_HAS_LEDGER = "select count(*) > 0 from information_schema.tables where table_schema = 'ledger' and table_name = 'period_events'"
_PERIODS = f"""
with closed as (
    select
        accounting_period, max(recorded_at) as closed_at, max_by(approved_by, recorded_at) as approved_by,
        max_by(folder is null, recorded_at) as is_opening
    from ledger.period_events where accounting_period in ({CLOSED}) group by accounting_period
)

select
    (select min(accounting_period) from ledger.postings where accounting_period not in (select accounting_period from closed)),
    max(accounting_period), arg_max(closed_at, accounting_period), arg_max(approved_by, accounting_period),
    arg_max(is_opening, accounting_period)
from closed
"""
_IN_WAREHOUSE = {"deliveries": "meta.deliveries", "quarantine": "raw.quarantine", "checks": "meta.check_results"}


def tables(workspace: Workspace) -> list[Table]:
    """Tables of publication, sources and trouble, from the warehouse; never waits: while a writer is at it, says so."""
    result = [_one(_publication(workspace))]
    if not workspace.warehouse.is_file():
        return [*result, _one("nothing is loaded yet: run `tollbook run`")]
    try:
        db = workspace.connect(read_only=True)
    except duckdb.IOException:
        return [*result, _one(f"{lock.holder(workspace)} is writing just now; ask again when it is done for what arrived")]
    with db:
        known = {row[0]: row[1:] for row in db.execute(_SOURCES.format(**_IN_WAREHOUSE)).fetchall()}
        failed = db.execute(_FAILED.format(**_IN_WAREHOUSE)).fetchall()
        quarantine = db.execute(_QUARANTINE.format(**_IN_WAREHOUSE)).fetchall()
        checks = db.execute(_CHECKS.format(**_IN_WAREHOUSE)).fetchall()
        runs = db.execute(
            "select command, started_at, message from meta.runs where status = 'failed' order by started_at desc limit 3"
        ).fetchall()
        periods = db.execute(_PERIODS).fetchone() if db.execute(_HAS_LEDGER).fetchone()[0] else None
    if periods:
        result.append(_one(_accounting(*periods)))
    sources = Table("source", "deliveries", "rows", "quarantined", "failed", "last loaded", title="What arrived")
    for source in workspace.sources:
        deliveries, rows, bad, failures, loaded = known.get(source.name, (0, 0, 0, 0, None))
        sources.add_row(
            source.name,
            str(deliveries),
            f"{rows or 0:,}",
            f"{bad or 0:,}",
            str(failures),
            f"{loaded:%Y-%m-%d %H:%M}" if loaded else "never",
        )
    result.append(sources)
    if failed:
        result.append(_filled("Failed deliveries", ("source", "file", "why"), failed))
    if quarantine:
        result.append(_filled("Quarantine", ("source", "file", "column", "why", "rows", "first row"), quarantine))
    if checks:
        result.append(_filled("Checks that did not pass", ("status", "check", "subject", "what to do"), checks))
    if runs:
        result.append(_filled("Newest failed steps", ("step", "when", "why"), runs))
    return result


def _publication(workspace: Workspace) -> str:
    if not workspace.published_db.is_file():
        return "nothing is published yet: run `tollbook run`"
    with publication.connect(workspace) as db:
        published_at, run_id, status, warnings, newest = db.execute(
            "select published_at, run_id, status, warnings, newest_usage_date from quality.publication"
        ).fetchone()
    hours = (datetime.now(UTC).replace(tzinfo=None) - published_at).total_seconds() / 3600
    return (
        f"published {published_at:%Y-%m-%d %H:%M} UTC ({hours:.1f} h ago), {status}, {warnings} warnings; usage up to {newest}; "
        f"audit {run_id}"
    )


def _accounting(
    first_open: date | None, closed: date | None, closed_at: datetime | None, approved_by: str | None, is_opening: bool | None
) -> str:
    how = "opening balance" if is_opening else "closed"
    last = f"{how} up to {closed:%Y-%m}, at {closed_at:%Y-%m-%d %H:%M} UTC by {approved_by}" if closed else "no month is closed"
    return f"ledger: {last}; " + (f"first open month {first_open:%Y-%m}" if first_open else "nothing posted in an open month")


def _one(line: str) -> Table:
    table = Table(show_header=False, box=None)
    table.add_row(escape(line))
    return table


def _filled(title: str, columns: tuple[str, ...], rows: list) -> Table:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    return table
