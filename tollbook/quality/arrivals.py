"""The first edge: did each source deliver, is it fresh, whole, of its usual size and shape?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb

from tollbook.quality import query
from tollbook.quality.gates import Gates, SourceGates
from tollbook.quality.results import CheckResult, Limit, Measure, number
from tollbook.quality.validation import judge
from tollbook.workspace import canonical_tables

EDGE = "arrival"
_ENOUGH_HISTORY = 3

# How far a table's rows reach; the other tables' by the days that loading noted. A line longer than a day (a monthly
# fee) says nothing about freshness, unless there are no others. Capacity without an end is there now.
_REACH = {
    "billing_lines": """
        coalesce(
            max(charge_period_end) filter (where charge_period_end - charge_period_start <= interval 1 day),
            max(charge_period_end)
        ) - interval 1 microsecond
    """,
    "capacity": """
        case when bool_or(ended_at is null) then $now::timestamp else max(ended_at) - interval 1 microsecond end
    """,
}


def check_arrivals(
    db: duckdb.DuckDBPyConnection, gates: Gates, sources: list[str], run_id: str, docs_dir: Path, now: datetime
) -> list[CheckResult]:
    """Judge what the configured ``sources`` delivered; ``now`` is UTC, naive. Data Docs go to ``docs_dir/arrival``.

    Raises:
        TollbookError: Great Expectations could not evaluate a limit.
    """
    measures = []
    for profile in _profiles(db, sources, now):
        own = gates.of(profile.source_name)
        measures.append(_arrived(profile, own))
        if profile.partitions:
            measures.append(_failed(profile, own))
        if profile.deliveries:
            measures += _delivered(profile, own)
    measures += [_unknown(name) for name in sorted(set(gates.sources) - set(sources))]
    return judge(measures, EDGE, run_id, docs_dir)


def _profiles(db: duckdb.DuckDBPyConnection, sources: list[str], now: datetime) -> list[SimpleNamespace]:
    """One profile per source, in the order given: the columns of ``deliveries``, ``rows`` and ``currencies``."""
    if not sources:
        return []
    query.run(db, "scope", sources=sources)
    _count(db, now)
    profiles = {profile.source_name: profile for profile in query.run(db, "deliveries", sources=sources, now=now)}
    for more in query.run(db, "rows", now=now) + query.run(db, "currencies"):
        if more.source_name in profiles:
            vars(profiles[more.source_name]).update(vars(more))
    db.execute("drop table counted")
    db.execute("drop table deliveries_in_scope")
    return [profiles[name] for name in sources]


def _count(db: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Fill ``counted``: rows in raw by delivery in scope, and how far they reach."""
    db.execute("create or replace temp table counted (source_name varchar, delivery_id varchar, row_count bigint, reaches_to timestamp)")
    tables = db.execute("select distinct table_name from deliveries_in_scope order by all").fetchall()
    for table in (row[0] for row in tables if row[0] in canonical_tables()):
        reach = _REACH.get(table, "null")
        db.execute(
            f"insert into counted select source_name, delivery_id, count(*), {reach} from raw.{table}"
            " where delivery_id in (select scope.delivery_id from deliveries_in_scope as scope) group by all",
            {"now": now} if "$now" in reach else None,
        )


def _gated(own: SourceGates, gate: str, source: str, value: float | None, **said) -> Measure:
    """The check of a source that is called as its gate, which judges ``value`` (None: not known)."""
    observed = None if value is None else float(value)
    return Measure(check_id=gate, subject=source, observed=observed, limits=getattr(own, gate).limits(value), **said)


def _arrived(profile: SimpleNamespace, own: SourceGates) -> Measure:
    severity = "error" if own.required else "warn"
    if profile.deliveries:
        found = f"{number(profile.deliveries, 'current delivery')} with {number(profile.rows_loaded or 0, 'row')}"
    elif profile.partitions:
        found = f"no current delivery; the last attempt failed: {profile.last_error}"
    else:
        found = "no delivery has ever arrived"
    return Measure(
        check_id="arrived",
        subject=profile.source_name,
        found=found,
        advice=f"Compare the source's `path` in tollbook.yml with what lies there, then run `tollbook load {profile.source_name}`.",
        rows_seen=profile.rows_loaded or 0,
        observed=float(profile.deliveries),
        limits=(Limit(severity, float(profile.deliveries), 1.0, None, f"{severity} without a current delivery"),),
    )


def _failed(profile: SimpleNamespace, own: SourceGates) -> Measure:
    if profile.failed:
        found = f"{profile.failed} of {number(profile.partitions, 'delivery')} failed: {profile.last_error}"
    else:
        found = f"{number(profile.partitions, 'delivery')}, none failed"
    return _gated(
        own,
        "failed_deliveries",
        profile.source_name,
        profile.failed,
        found=found,
        advice=f"What was loaded before stays in force. Have it delivered again, then run `tollbook load {profile.source_name}`.",
        rows_seen=profile.partitions,
    )


def _delivered(profile: SimpleNamespace, own: SourceGates) -> Iterator[Measure]:
    """The checks of a source that has current deliveries."""
    yield _freshness(profile, own)
    yield _row_volume(profile, own)
    yield _quarantine(profile, own)
    yield _schema_drift(profile, own)
    yield _rows_conserved(profile)
    if hasattr(profile, "billing_lines"):
        yield _currency(profile, own)


def _freshness(profile: SimpleNamespace, own: SourceGates) -> Measure:
    age = profile.age_days
    if age is None:
        found = "its rows cover no day"
    else:
        when = f"{number(-age, 'day')} ahead of now" if age < 0 else f"{number(age, 'day')} ago" if age else "today"
        found = f"the newest day covered is {profile.newest_day}, {when}"
    return _gated(
        own,
        "freshness_days",
        profile.source_name,
        age,
        found=found,
        advice="Ask who delivers it where the newer days are; what is missing is not zero.",
        rows_seen=profile.rows_in_raw,
        expects_rows=True,
    )


def _row_volume(profile: SimpleNamespace, own: SourceGates) -> Measure:
    """The newest delivery against the same weekday of the weeks before, or else the deliveries before it."""
    by_week = profile.weeks >= _ENOUGH_HISTORY
    earlier, median = (profile.weeks, profile.weeks_median) if by_week else (profile.trailing, profile.trailing_median)
    ratio = profile.newest_rows / median if earlier >= _ENOUGH_HISTORY and median else None
    if ratio is None:
        found = f"not enough history: {number(earlier, 'earlier delivery')}, {_ENOUGH_HISTORY} are needed"
    else:
        usual = f"the same weekday of {earlier} weeks before" if by_week else f"the {earlier} deliveries before it"
        found = f"{profile.newest_files} has {profile.newest_rows:,} rows, {ratio:.2f} times the median {median:,.0f} of {usual}"
    return _gated(
        own,
        "row_volume",
        profile.source_name,
        ratio,
        found=found,
        advice="See whether it is cut off or holds something twice; a newer delivery of it replaces it.",
        rows_seen=earlier,
    )


def _quarantine(profile: SimpleNamespace, own: SourceGates) -> Measure:
    found = f"{profile.rows_quarantined or 0:,} of {profile.rows_delivered or 0:,} rows are in quarantine"
    if profile.rows_quarantined:
        found += f"; {profile.worst_ratio:.1%} of {profile.worst_files}, more than of any other"
    return _gated(
        own,
        "quarantine_ratio",
        profile.source_name,
        profile.worst_ratio,
        found=found,
        advice="quality.fct_quarantine has each one's file, row, column and reason. Mend the delivery, or the mapping"
        " in tollbook.yml, and load again.",
        rows_seen=profile.rows_delivered or 0,
        expects_rows=True,
    )


def _schema_drift(profile: SimpleNamespace, own: SourceGates) -> Measure:
    new, old = set(profile.newest_columns or ()), set(profile.earlier_columns or ())
    changed = len(new ^ old) if new and old else None
    if changed is None:
        found = "no earlier delivery to compare columns with" if new else "the delivery's columns are not recorded"
    elif changed:
        added, removed = ", ".join(sorted(new - old)), ", ".join(sorted(old - new))
        sides = [f"added {added}" if added else "", f"removed {removed}" if removed else ""]
        found = f"{profile.newest_files} against {profile.earlier_files}: {'; '.join(filter(None, sides))}"
    else:
        found = f"the same {len(new)} columns as the delivery before"
    return _gated(
        own,
        "schema_drift",
        profile.source_name,
        changed,
        found=found,
        advice="Ask who delivers it whether that is meant; mend `select` in tollbook.yml if a column moved.",
        rows_seen=len(new),
    )


def _rows_conserved(profile: SimpleNamespace) -> Measure:
    unbalanced = float(profile.unbalanced)
    if unbalanced:
        found = f"rows lost or doubled in {number(profile.unbalanced, 'delivery')}: {profile.unbalanced_delivery}"
    else:
        found = f"delivered = loaded + quarantined in {number(profile.counted_deliveries, 'delivery')}"
    return Measure(
        check_id="rows_conserved",
        subject=profile.source_name,
        found=found,
        advice=f"Load its days again with `tollbook reprocess --from DAY --to DAY {profile.source_name}`; if it stays,"
        " it is a defect of the loader: keep warehouse.duckdb and report it.",
        rows_seen=profile.rows_in_raw,
        observed=unbalanced,
        limits=(Limit("error", unbalanced, None, 0.0, "error where rows are missing or too many"),),
        expects_rows=True,
    )


def _currency(profile: SimpleNamespace, own: SourceGates) -> Measure:
    if profile.assumed:
        found = f"{profile.assumed:,} of {profile.billing_lines:,} lines name no currency; {profile.assumed_currencies} was assumed"
    else:
        found = f"{number(profile.billing_lines, 'line')}, all with their currency"
    return _gated(
        own,
        "assumed_currency",
        profile.source_name,
        profile.assumed,
        found=found,
        advice="Ask the biller; if it is another, set `currency` of the source in tollbook.yml and load again.",
        rows_seen=profile.billing_lines,
        expects_rows=True,
    )


def _unknown(name: str) -> Measure:
    return Measure(
        check_id="known_source",
        subject=name,
        found=f"config/gates.yml has gates for {name}, and tollbook.yml has no such source",
        advice="Mend the name in one of them; until then these gates hold nowhere.",
        rows_seen=1,
        observed=1.0,
        limits=(Limit("warn", 1.0, None, 0.0, "warn where the source is not configured"),),
    )
