"""The first edge: did each source deliver, is it fresh, whole, of usual size and shape?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from tollbook.quality.gates import Gates, SourceGates
from tollbook.quality.results import CheckResult, Limit, Measure
from tollbook.quality.validation import judge
from tollbook.workspace import canonical_tables

EDGE = "arrival"
_ENOUGH_HISTORY = 3

# Everything that meta knows of a source's deliveries: one row per source.
_PROFILE = """
with loaded as (
    select
        *,
        row_number() over (
            partition by source_name order by is_current desc, delivered_at desc, loaded_at desc, partition_key desc
        ) as current_rank,
        row_number() over (partition by source_name order by delivered_at desc, loaded_at desc, partition_key desc) as age
    from meta.deliveries
    where status = 'loaded'
),

reach as (
    select source_name, delivery_id, max(usage_date) as newest_day from meta.delivery_days group by all
),

newest as (
    select loaded.*, reach.newest_day
    from loaded
    left join reach using (source_name, delivery_id)
    where loaded.is_current and loaded.current_rank = 1
),

totals as (
    select
        source_name,
        count(*) as deliveries,
        sum(rows_delivered)::bigint as rows_delivered,
        sum(rows_loaded)::bigint as rows_loaded,
        sum(rows_quarantined)::bigint as rows_quarantined,
        max(rows_quarantined / nullif(rows_delivered, 0)) as worst_ratio,
        arg_max(array_to_string(file_names, ', '), rows_quarantined / nullif(rows_delivered, 0)) as worst_files
    from loaded
    where is_current
    group by source_name
),

-- the same weekday of the four weeks before, and the four deliveries before
earlier as (
    select
        newest.source_name,
        loaded.rows_delivered,
        case
            when loaded.is_current and date_diff('day', reach.newest_day, newest.newest_day) in (7, 14, 21, 28)
                then date_diff('day', reach.newest_day, newest.newest_day)
        end as days_before,
        loaded.age - newest.age between 1 and 4 as is_trailing
    from newest
    inner join loaded on newest.source_name = loaded.source_name and newest.age <> loaded.age
    left join reach on loaded.source_name = reach.source_name and loaded.delivery_id = reach.delivery_id
),

usual as (
    select
        source_name,
        count(distinct days_before) as weeks,
        median(rows_delivered) filter (where days_before is not null) as weeks_median,
        count(*) filter (where is_trailing) as trailing,
        median(rows_delivered) filter (where is_trailing) as trailing_median
    from earlier
    group by source_name
),

before as (
    select newest.source_name, loaded.columns, array_to_string(loaded.file_names, ', ') as files
    from newest
    inner join loaded on newest.source_name = loaded.source_name and loaded.age > newest.age
    qualify row_number() over (partition by newest.source_name order by loaded.age) = 1
),

-- the last attempt at each partition; what was not tried again for a week was withdrawn
attempts as (
    select source_name, partition_key, arg_max(status, loaded_at) as status, arg_max(error, loaded_at) as error, max(loaded_at) as tried_at
    from meta.deliveries
    where status in ('loaded', 'failed')
    group by all
),

failures as (
    select
        source_name,
        count(*) as partitions,
        count(*) filter (where status = 'failed' and tried_at >= $now::timestamp - interval 7 day) as failed,
        arg_max(error, tried_at) filter (where status = 'failed') as last_error
    from attempts
    group by source_name
)

select
    sources.source_name,
    coalesce(totals.deliveries, 0) as deliveries,
    totals.* exclude (source_name, deliveries),
    array_to_string(newest.file_names, ', ') as newest_files,
    newest.rows_delivered as newest_rows,
    newest.columns as newest_columns,
    before.columns as earlier_columns,
    before.files as earlier_files,
    coalesce(usual.weeks, 0) as weeks,
    usual.weeks_median,
    coalesce(usual.trailing, 0) as trailing,
    usual.trailing_median,
    coalesce(failures.partitions, 0) as partitions,
    coalesce(failures.failed, 0) as failed,
    failures.last_error
from (select unnest($sources) as source_name) as sources
left join totals using (source_name)
left join newest using (source_name)
left join usual using (source_name)
left join before using (source_name)
left join failures using (source_name)
"""

# Deliveries whose rows are counted again: those of the days that the build computes, and those that reach furthest.
# A night costs what the night brought: older ones were counted in theirs.
_SCOPE = """
create or replace temp table deliveries_in_scope as
with reach as (
    select source_name, delivery_id, max(usage_date) as newest_day,
        bool_or(usage_date in (select build_days.usage_date from meta.build_days as build_days)) as is_built
    from meta.delivery_days
    group by all
)
select deliveries.*
from meta.deliveries as deliveries
left join reach using (source_name, delivery_id)
where deliveries.is_current and deliveries.source_name in (select unnest($sources))
qualify coalesce(reach.is_built, false) or row_number() over (
    partition by deliveries.source_name order by reach.newest_day desc nulls last, deliveries.delivered_at desc
) <= 4
"""

# How far the rows reach, by table; the others by the days that loading noted. A line longer than a day (a monthly fee)
# says nothing about freshness, unless there are no others; capacity without an end is there today.
_REACH = {
    "billing_lines": "coalesce(max(charge_period_end) filter (where charge_period_end - charge_period_start <= interval 1 day),"
                     " max(charge_period_end)) - interval 1 microsecond",
    "capacity": "case when bool_or(ended_at is null) then $now::timestamp else max(ended_at) - interval 1 microsecond end",
}

# One row per source: what is really in raw, against what loading wrote down.
_ROWS = """
with in_raw as (
    {counts}
),

in_quarantine as (
    select source_name, delivery_id, count(*) as row_count
    from raw.quarantine
    where delivery_id in (select scope.delivery_id from deliveries_in_scope as scope)
    group by all
),

noted as (
    select deliveries.source_name, max(days.usage_date) as newest_day
    from meta.delivery_days as days
    inner join meta.deliveries as deliveries
        on days.source_name = deliveries.source_name and days.delivery_id = deliveries.delivery_id and deliveries.is_current
    group by all
),

compared as (
    select
        scope.source_name,
        array_to_string(scope.file_names, ', ') as files,
        scope.rows_delivered,
        coalesce(in_raw.row_count, 0) as rows_in_raw,
        coalesce(in_quarantine.row_count, 0) as rows_in_quarantine,
        in_raw.reaches_to,
        scope.rows_delivered is distinct from scope.rows_loaded + scope.rows_quarantined
        or scope.rows_loaded is distinct from coalesce(in_raw.row_count, 0)
        or scope.rows_quarantined is distinct from coalesce(in_quarantine.row_count, 0) as is_unbalanced
    from deliveries_in_scope as scope
    left join in_raw on scope.source_name = in_raw.source_name and scope.delivery_id = in_raw.delivery_id
    left join in_quarantine
        on scope.source_name = in_quarantine.source_name and scope.delivery_id = in_quarantine.delivery_id
)

select
    compared.source_name,
    count(*) as counted_deliveries,
    sum(compared.rows_in_raw)::bigint as rows_in_raw,
    count(*) filter (where compared.is_unbalanced) as unbalanced,
    min(compared.files || ': ' || coalesce(compared.rows_delivered::varchar, 'an unknown number of') || ' delivered, '
        || compared.rows_in_raw || ' loaded, ' || compared.rows_in_quarantine || ' in quarantine')
        filter (where compared.is_unbalanced) as unbalanced_delivery,
    coalesce(max(compared.reaches_to)::date, max(noted.newest_day)) as newest_day,
    date_diff('day', coalesce(max(compared.reaches_to)::date, max(noted.newest_day)), $now::date) as age_days
from compared
left join noted on compared.source_name = noted.source_name
group by compared.source_name
"""

_CURRENCIES = """
select source_name, count(*) as billing_lines, count(*) filter (where currency_origin = 'assumed') as assumed,
    string_agg(distinct billing_currency, ', ') filter (where currency_origin = 'assumed') as assumed_currencies
from raw.billing_lines
group by source_name
"""


def check_arrivals(
    db: duckdb.DuckDBPyConnection, gates: Gates, sources: list[str], run_id: str, docs_dir: Path, now: datetime
) -> list[CheckResult]:
    """Judge what the configured sources delivered; ``now`` is UTC without a time zone. Data Docs go to ``docs_dir/arrival``.

    Raises:
        TollbookError: Great Expectations could not evaluate a limit.
    """
    measures = []
    for profile in _profiles(db, sources, now):
        own = gates.of(profile["source_name"])
        measures.append(_arrived(profile, own))
        if profile["partitions"]:
            measures.append(_failed(profile, own))
        if profile["deliveries"]:
            measures += _delivered(profile, own)
    for name in sorted(set(gates.sources) - set(sources)):
        measures.append(Measure("known_source", name, f"config/gates.yml has gates for {name!r}, tollbook.yml has no such source",
                                "Mend the name in one of them; until then these gates hold nowhere.", 1, 1.0,
                                (Limit("warn", 1.0, None, 0.0, "warn where the source is not configured"),)))
    return judge(measures, EDGE, run_id, docs_dir)


def _profiles(db: duckdb.DuckDBPyConnection, sources: list[str], now: datetime) -> list[dict[str, Any]]:
    """One dictionary per source, in the order given: the columns of the queries above."""
    if not sources:
        return []
    db.execute(_SCOPE, {"sources": sources})
    tables = [row[0] for row in db.execute("select distinct table_name from deliveries_in_scope order by all").fetchall()]
    counts = "\nunion all\n".join(
        f"select source_name, delivery_id, count(*) as row_count, {_REACH.get(table, 'null::timestamp')} as reaches_to"
        f" from raw.{table} where delivery_id in (select scope.delivery_id from deliveries_in_scope as scope) group by all"
        for table in tables if table in canonical_tables()
    ) or "select null::varchar as source_name, null::varchar as delivery_id, null::bigint as row_count, null::timestamp as reaches_to"
    profiles = {row["source_name"]: row for row in _rows(db.execute(_PROFILE, {"sources": sources, "now": now}))}
    for query, parameters in ((_ROWS.format(counts=counts), {"now": now}), (_CURRENCIES, None)):
        for row in _rows(db.execute(query, parameters)):
            profiles.get(row["source_name"], {}).update(row)
    db.execute("drop table deliveries_in_scope")
    return [profiles[name] for name in sources]


def _rows(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _arrived(profile: dict[str, Any], own: SourceGates) -> Measure:
    severity = "error" if own.required else "warn"
    limit = Limit(severity, float(profile["deliveries"]), 1.0, None, f"{severity} without a current delivery")
    if profile["deliveries"]:
        found = f"{profile['deliveries']:,} current deliveries with {profile['rows_loaded'] or 0:,} rows"
    elif profile["partitions"]:
        found = f"no current delivery; the last attempt failed: {profile['last_error']}"
    else:
        found = "no delivery has ever arrived"
    advice = "Look at the source's `path` in tollbook.yml and at what lies there, then run `tollbook load " + profile["source_name"] + "`."
    return Measure("arrived", profile["source_name"], found, advice, profile["rows_loaded"] or 0, float(profile["deliveries"]), (limit,))


def _failed(profile: dict[str, Any], own: SourceGates) -> Measure:
    failed = float(profile["failed"])
    found = (f"{profile['failed']} of {profile['partitions']} deliveries could not be loaded, the last: {profile['last_error']}"
             if failed else f"all {profile['partitions']} deliveries loaded")
    advice = "What was loaded before stays in force; have the file delivered again and run `tollbook load " + profile["source_name"] + "`."
    return Measure("failed_deliveries", profile["source_name"], found, advice, profile["partitions"], failed,
                   own.failed_deliveries.limits(failed))


def _delivered(profile: dict[str, Any], own: SourceGates) -> Iterator[Measure]:
    source, rows = profile["source_name"], profile.get("rows_in_raw") or 0

    age = profile.get("age_days")
    found = f"the newest day covered is {profile['newest_day']}, {_age(age)}" if age is not None else "its rows cover no day"
    yield Measure("freshness_days", source, found,
                  "Ask who delivers it where the newer days are; numbers after that day are missing, not zero.",
                  rows, age if age is None else float(age), own.freshness_days.limits(age), expects_rows=True)

    yield _row_volume(profile, own)

    ratio = profile["worst_ratio"]
    found = f"{profile['rows_quarantined']:,} of {profile['rows_delivered'] or 0:,} rows are in quarantine"
    if profile["rows_quarantined"]:
        found += f", most of them by share ({ratio:.1%}) in {profile['worst_files']}"
    yield Measure("quarantine_ratio", source, found,
                  "Each row's file, column and reason is in quality.fct_quarantine; mend the delivery or the mapping and load again.",
                  profile["rows_delivered"] or 0, ratio, own.quarantine_ratio.limits(ratio), expects_rows=True)

    yield _schema_drift(profile, own)

    unbalanced = float(profile.get("unbalanced") or 0)
    found = (f"{unbalanced:.0f} deliveries where delivered is not loaded plus quarantined: {profile['unbalanced_delivery']}"
             if unbalanced else f"delivered is loaded plus quarantined in {profile.get('counted_deliveries') or 0:,} deliveries")
    yield Measure("rows_conserved", source, found,
                  f"Rows were lost or doubled: load these days again with `tollbook reprocess … {source}`; if it stays, it is a defect.",
                  rows, unbalanced, (Limit("error", unbalanced, None, 0.0, "error where rows are missing or too many"),),
                  expects_rows=True)

    if "billing_lines" in profile:
        assumed = float(profile["assumed"])
        found = (f"{profile['assumed']:,} of {profile['billing_lines']:,} lines name no currency; {profile['assumed_currencies']} was assumed"
                 if assumed else f"all {profile['billing_lines']:,} lines name their currency")
        yield Measure("assumed_currency", source, found, "Set `currency` of the source in tollbook.yml once the biller has confirmed it.",
                      profile["billing_lines"], assumed, own.assumed_currency.limits(assumed), expects_rows=True)


def _age(days: int) -> str:
    return f"{-days} days ahead of now" if days < 0 else "today" if days == 0 else f"{days} days ago"


def _row_volume(profile: dict[str, Any], own: SourceGates) -> Measure:
    """The newest delivery against the same weekday of the weeks before, or else the deliveries before."""
    by_week = profile["weeks"] >= _ENOUGH_HISTORY
    earlier = profile["weeks"] if by_week else profile["trailing"]
    median = profile["weeks_median"] if by_week else profile["trailing_median"]
    if earlier < _ENOUGH_HISTORY or not median:
        found = f"not enough history: {earlier} earlier deliveries, {_ENOUGH_HISTORY} are needed"
        return Measure("row_volume", profile["source_name"], found, "", earlier, None, own.row_volume.limits(None))
    ratio = profile["newest_rows"] / median
    found = (f"{profile['newest_files']} has {profile['newest_rows']:,} rows, {ratio:.2f} times the median {median:,.0f} of "
             + (f"the same weekday {earlier} times before" if by_week else f"the {earlier} deliveries before"))
    advice = "Look whether the delivery is cut off or holds something twice; a newer delivery of the same partition replaces it."
    return Measure("row_volume", profile["source_name"], found, advice, earlier, ratio, own.row_volume.limits(ratio))


def _schema_drift(profile: dict[str, Any], own: SourceGates) -> Measure:
    source, new, old = profile["source_name"], profile["newest_columns"], profile["earlier_columns"]
    if not new or not old:
        found = "the first delivery: no columns to compare with" if new else "the delivery's columns are not recorded"
        return Measure("schema_drift", source, found, "", len(new or ()), None, own.schema_drift.limits(None))
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    changes = [f"added {', '.join(added)}" if added else "", f"removed {', '.join(removed)}" if removed else ""]
    found = (f"{profile['newest_files']} against {profile['earlier_files']}: {'; '.join(filter(None, changes))}" if added or removed
             else f"the same {len(new)} columns as the delivery before")
    changed = float(len(added) + len(removed))
    return Measure("schema_drift", source, found, "Ask who delivers it whether that is meant; mend `select` in tollbook.yml if a column moved.",
                   len(new), changed, own.schema_drift.limits(changed))
