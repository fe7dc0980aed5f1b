"""Load deliveries into ``raw``: one transaction each, the newest of a partition current, bad rows in quarantine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError, TollbookError
from tollbook.landing import deliveries
from tollbook.landing.deliveries import Delivery
from tollbook.sources import reader_of
from tollbook.sources.typing import quoted, reason, text, typed
from tollbook.warehouse import schema
from tollbook.workspace import OWN_TABLES, Source, Workspace, canonical_tables


@dataclass
class LoadReport:
    """What one source's load did: deliveries loaded, unchanged, and failed with the reason of each."""

    source: str
    table: str
    loaded: int = 0
    unchanged: int = 0
    rows: int = 0
    quarantined: int = 0
    failures: list[str] = field(default_factory=list)


def load_source(workspace: Workspace, db: duckdb.DuckDBPyConnection, source: Source, days: tuple | None = None) -> LoadReport:
    """Bring ``raw`` up to what lies in the source's landing folder.

    A delivery that fails changes nothing and does not stop the others. ``days`` (from, to) loads the current deliveries
    that cover one of these days once more.

    Raises:
        DeliveryError: the landing folder is missing or has nothing for the source.
    """
    report = LoadReport(source.name, source.table)
    if days:
        wanted = _current_on(db, source, days)
        candidates = [delivery for delivery in _kept(workspace, db, source) if delivery.delivery_id in wanted]
        for delivery in candidates:
            _load_one(workspace, db, delivery, report, again=True)
        return report
    found = deliveries.find(workspace, source)
    current = _current(db, source)
    newest = {delivery.partition_key: delivery for delivery in found if not delivery.fault}
    for delivery in found:
        beside = newest.get(delivery.partition_key)
        if delivery.fault:
            # what is older than what is whole was replaced before it came
            if (beside is None or beside.order < delivery.order) and _is_news(current, delivery):
                _fail(db, delivery, report, delivery.fault)
        elif beside is not delivery:
            _remember_superseded(db, deliveries.keep(workspace, delivery))
    # who keeps its content keeps it: the same content elsewhere is not loaded once more, also where the first is gone
    news = {key for key, delivery in newest.items() if _is_news(current, delivery)}
    holders = {current[key].delivery_id: key for key in sorted(current, reverse=True) if key not in news}
    for key in sorted(newest):
        delivery = newest[key]
        if key not in news:
            _note_newer_version(db, current[key], delivery)
            report.unchanged += 1
        elif (holder := holders.setdefault(delivery.delivery_id, key)) != key:
            _note_duplicate(db, delivery, holder)
            report.unchanged += 1
        else:
            _load_one(workspace, db, delivery, report)
    return report


def _load_one(workspace: Workspace, db: duckdb.DuckDBPyConnection, delivery: Delivery, report: LoadReport, again: bool = False) -> None:
    source = delivery.source
    now = datetime.now(UTC).replace(tzinfo=None)
    try:
        kept = delivery if again else deliveries.keep(workspace, delivery)
        db.begin()
        _clear(db, source, delivery.partition_key)
        _take_over(db, delivery)
        counts, columns = [0, 0, 0], set()
        stated = delivery.rows or (None,) * len(kept.files)
        for name, file, rows in zip(kept.names, kept.files, stated, strict=True):
            one, found = _load_file(db, workspace, delivery, name, file)
            if rows not in (None, one[0]):
                raise DeliveryError(
                    f"{name} has {one[0]:,} rows, its manifest states {rows:,}: the delivery is not complete."
                    " Nothing of it was loaded; the next load looks again."
                )
            counts = [total + part for total, part in zip(counts, one, strict=True)]
            columns |= found
        if counts[1] == 0:
            said = _first_reasons(db, source, delivery.delivery_id)
            raise DeliveryError(
                f"{', '.join(delivery.names)}: "
                + (f"none of its {counts[0]} rows can be used: {said}" if counts[0] else "has a header but no rows")
                + ". Deliver it again; what was loaded before stays."
            )
        _touch_days(db, source, delivery.delivery_id)
        db.execute(
            "update meta.deliveries set is_current = false where source_name = ? and partition_key = ?",
            [source.name, delivery.partition_key],
        )
        db.execute(
            "delete from meta.deliveries where source_name = ? and partition_key = ? and delivery_id = ?",
            [source.name, delivery.partition_key, delivery.delivery_id],
        )
        _record(db, delivery, "loaded", loaded_at=now, counts=counts, columns=sorted(columns))
        db.commit()
        report.loaded += 1
        report.rows += counts[1]
        report.quarantined += counts[2]
    except (TollbookError, duckdb.Error) as error:
        db.rollback()
        deliveries.forget(workspace, delivery)
        message = str(error) if isinstance(error, TollbookError) else f"{', '.join(delivery.names)}: {str(error).splitlines()[0]}"
        _fail(db, delivery, report, message)


def _fail(db, delivery: Delivery, report: LoadReport, message: str) -> None:
    report.failures.append(f"{delivery.source.name}: {message}")
    db.execute(
        "delete from meta.deliveries where source_name = ? and partition_key = ? and delivery_id = ? and status = 'failed'",
        [delivery.source.name, delivery.partition_key, delivery.delivery_id],
    )
    _record(db, delivery, "failed", loaded_at=datetime.now(UTC).replace(tzinfo=None), error=message)


def _load_file(db, workspace: Workspace, delivery: Delivery, name: str, file: Path) -> tuple[list[int], set[str]]:
    """Insert one file's good rows, quarantine the others; counts (delivered, loaded, quarantined), delivered columns."""
    source = delivery.source
    db.execute("drop view if exists temp.delivery")
    select = reader_of(source)(db, file, source, source.currency or workspace.currency)
    described = {row[0]: row[1] for row in db.execute(f"describe {select}").fetchall()}
    columns = _delivered_columns(db) or set(described) - {"file_row", "cast_fault"}
    definition = canonical_tables()[source.table]
    delivered = {column: kind for column, kind in described.items() if column not in ("file_row", "cast_fault")}
    unknown = [column for column in delivered if column.casefold() not in definition["columns"]]
    if unknown:
        raise DeliveryError(
            f"{source.name}: {source.table} has no column {', '.join(unknown)}; it has {', '.join(definition['columns'])}. Mend `select`."
        )
    missing = [column for column, wanted in definition["columns"].items() if wanted.get("required") and column not in delivered]
    if missing:
        raise DeliveryError(f"{file.name}: required column missing: {', '.join(missing)}. Add it to the file or to `select`.")

    values, faults = [], ["cast_fault"] if "cast_fault" in described else []
    for column, kind in delivered.items():
        wanted = definition["columns"][column.casefold()]
        value, failed = typed(column, kind, wanted["type"])
        values.append(f"{value} as {column.casefold()}")
        if failed:
            faults.append(_fault(failed, column, f"({quoted(column)})::varchar", reason(wanted["type"])))
        if wanted.get("required"):
            empty = f"{quoted(column)} is null" + (f" or trim({quoted(column)}) = ''" if kind == "VARCHAR" else "")
            faults.append(_fault(empty, column, "null", "is missing"))
    if source.currency and "currency" in definition["columns"] and source.table in OWN_TABLES:
        # what the ledger's rows leave out, the source says
        values = [value for value in values if not value.endswith(" as currency")]
        stated = next((f"nullif(trim({quoted(column)}::varchar), '')" for column in delivered if column.casefold() == "currency"), "null")
        values.append(f"coalesce({stated}, {text(source.currency)}) as currency")
    checks = definition.get("checks", [])
    present = {column.casefold() for column in delivered}
    named = {check["sql"]: set(re.findall(r"\w+", check["sql"])) & set(definition["columns"]) for check in checks}
    absent = set().union(*(named[check["sql"]] for check in checks if check.get("absent_is_null"))) - present
    values += [f"null::{definition['columns'][column]['type']} as {column}" for column in sorted(absent)]
    present |= absent
    # the checks see the typed values
    typed_rows = f"select {', '.join(values)}, file_row, {_first(faults)} as fault from ({select})"
    broken = [
        _fault(f"not ({check['sql']})", check["column"], f"{check['column']}::varchar", check["says"])
        for check in checks
        if named[check["sql"]] <= present
    ]
    rows = f"select * replace ({_first(['fault', *broken])} as fault) from ({typed_rows})"
    origin = f"{text(source.name)} as source_name, {text(delivery.delivery_id)} as delivery_id, {text(name)} as file_name"

    # one pass where all is well: the faulty rows are only looked for when some are missing
    loaded = db.execute(
        f"insert into raw.{source.table} by name select * exclude (fault), {origin} from ({rows}) where fault is null"
    ).fetchone()[0]
    delivered_rows = db.execute(f"select count(*) from ({select})").fetchone()[0]
    if loaded < delivered_rows:
        db.execute(
            f"insert into raw.quarantine by name select {origin}, file_row, fault.column_name, fault.value, fault.reason,"
            f" now()::timestamp as quarantined_at from ({rows}) where fault is not null"
        )
    unreadable = db.execute(
        f"insert into raw.quarantine by name select {origin}, file_row, column_name, value, reason,"
        " now()::timestamp as quarantined_at from unread"
    ).fetchone()[0]
    return [delivered_rows + unreadable, loaded, delivered_rows - loaded + unreadable], columns


def _delivered_columns(db) -> set[str]:
    """The columns of the file as delivered; none where the reader keeps no relation of them."""
    known = db.execute("select count(*) from duckdb_views() where view_name = 'delivery' and temporary").fetchone()[0]
    return {row[0] for row in db.execute("describe delivery").fetchall()} - {"file_row"} if known else set()


def _fault(condition: str, column: str, value: str, says: str) -> str:
    return f"case when {condition} then {{'column_name': {text(column)}, 'value': {value}, 'reason': {text(says)}}} end"


def _first(faults: list[str]) -> str:
    if not faults:
        return "null::struct(column_name varchar, value varchar, reason varchar)"
    return f"coalesce({', '.join(faults)})::struct(column_name varchar, value varchar, reason varchar)"


def _clear(db, source: Source, partition_key: str) -> None:
    """Take the partition's current delivery out of raw; its days are touched."""
    current = db.execute(
        "select delivery_id from meta.deliveries where source_name = ? and partition_key = ? and is_current",
        [source.name, partition_key],
    ).fetchall()
    for (delivery_id,) in current:
        if source.table == "prices":
            _touch_priced(db, source, delivery_id)
        _touch_open(db, source, delivery_id)
        db.execute(
            "insert into meta.touched_days select usage_date, ? from meta.delivery_days where source_name = ? and delivery_id = ?",
            [source.table, source.name, delivery_id],
        )
        for table in (f"raw.{source.table}", "raw.quarantine", "meta.delivery_days"):
            db.execute(f"delete from {table} where source_name = ? and delivery_id = ?", [source.name, delivery_id])


def _take_over(db, delivery: Delivery) -> None:
    """Take the same content out of partitions that now have other content: rows are known by content."""
    others = db.execute(
        "select partition_key from meta.deliveries where source_name = ? and delivery_id = ? and is_current and partition_key <> ?",
        [delivery.source.name, delivery.delivery_id, delivery.partition_key],
    ).fetchall()
    for (key,) in others:
        _clear(db, delivery.source, key)
        db.execute("update meta.deliveries set is_current = false where source_name = ? and partition_key = ?", [delivery.source.name, key])


def _touch_days(db, source: Source, delivery_id: str) -> None:
    if source.table == "prices":
        _touch_priced(db, source, delivery_id)
        return
    start, end = canonical_tables()[source.table]["span"]
    end = f"coalesce({end}, {start})"
    if source.table == "billing_lines":
        # a charge is spread no further than its billing period
        end = "case when billing_period_end > charge_period_start then least(charge_period_end, billing_period_end) else charge_period_end end"
    if source.table == "holdings":
        # what never started belongs to the day of its submission
        start, end = (f"coalesce({moment}, submitted_at, '1970-01-01')" for moment in (start, end))
    db.execute(
        f"""
        insert into meta.delivery_days
        with spans as (
            select distinct
                date_trunc('day', {start}) as first_day, date_trunc('day', {end} - interval 1 microsecond) as last_day
            from raw.{source.table}
            where source_name = ? and delivery_id = ?
        )
        select distinct ?, ?, unnest(generate_series(first_day, greatest(first_day, last_day), interval 1 day))::date
        from spans
        """,
        [source.name, delivery_id, source.name, delivery_id],
    )
    _touch_open(db, source, delivery_id)
    db.execute(
        "insert into meta.touched_days select usage_date, ? from meta.delivery_days where source_name = ? and delivery_id = ?",
        [source.table, source.name, delivery_id],
    )


def _touch_priced(db, source: Source, delivery_id: str) -> None:
    """Note the days whose usage the delivery's prices may price: a price is of no day itself, it holds from when it holds.

    What comes to these days later touches them itself, so only what is loaded already counts here.
    """
    for table, is_of_nodes in (("requests", False), ("capacity", True)):
        span = db.execute(
            "select min(coalesce(valid_from, '1970-01-01')), max(coalesce(valid_to, '9999-12-31')) from raw.prices"
            " where source_name = ? and delivery_id = ? and (lower(price_kind) in ('node_hour', 'gpu_hour')) = ?",
            [source.name, delivery_id, is_of_nodes],
        ).fetchone()
        if span[0] is None:
            continue
        db.execute(
            "insert into meta.touched_days select distinct usage_date, 'prices' from meta.delivery_days"
            " inner join meta.deliveries using (source_name, delivery_id)"
            " where table_name = ? and is_current and usage_date between ?::date and ?::date",
            [table, *span],
        )
        if is_of_nodes:
            db.execute(
                "insert into meta.touched_open select greatest(min(started_at), ?::timestamp)::date from raw.capacity"
                " where ended_at is null having min(started_at) is not null",
                [span[0]],
            )


def _touch_open(db, source: Source, delivery_id: str) -> None:
    """Note from when the delivery has, or decides, something without an end: another delivery may repeat its attempts."""
    if source.table == "assets":
        db.execute(_ASSETS_REACH, [source.name, delivery_id])
    if source.table not in ("holdings", "capacity"):
        return
    repeated = " or holding_id in (select holding_id from raw.holdings where source_name = $1 and delivery_id = $2)"
    db.execute(
        f"insert into meta.touched_open select min(started_at)::date from raw.{source.table} where source_name = $1"
        f" and ended_at is null and (delivery_id = $2{repeated if source.table == 'holdings' else ''})"
        " having min(started_at) is not null",
        [source.name, delivery_id],
    )


# An asset costs something every day of its life, and decides the life of its upgrades and the node of its running costs.
_ASSETS_REACH = """
insert into meta.touched_open
with recursive reached as (
    select asset_id from raw.assets where source_name = $1 and delivery_id = $2
    union
    select upgrades.asset_id from raw.assets as upgrades
    inner join reached on upgrades.upgrade_of = reached.asset_id
    where upgrades.source_name = $1
)
select min(started_at)::date as open_from
from (
    select in_service_at as started_at from raw.assets where source_name = $1 and asset_id in (select asset_id from reached)
    union all
    select started_at from raw.asset_costs where asset_id in (select asset_id from reached)
)
having min(started_at) is not null
"""


def _current(db, source: Source) -> dict[str, Delivery]:
    """The source's current deliveries by partition."""
    rows = db.execute(
        "select partition_key, version, delivery_id, file_names, bytes, delivered_at from meta.deliveries"
        " where source_name = ? and is_current order by partition_key",
        [source.name],
    ).fetchall()
    return {
        key: Delivery(source, key, version, delivery_id, tuple(names), (), size, arrived_at)
        for key, version, delivery_id, names, size, arrived_at in rows
    }


def _is_news(current: dict[str, Delivery], delivery: Delivery) -> bool:
    """Whether the delivery replaces what is current: other content, and not an older version."""
    before = current.get(delivery.partition_key)
    if before is None:
        return True
    if before.delivery_id == delivery.delivery_id:
        return False
    if delivery.source.partition is None and delivery.source.manifest is None:
        return True
    return delivery.order >= before.order


def _note_newer_version(db, before: Delivery, delivery: Delivery) -> None:
    """What is current came again as a newer version: what comes late between the two must not replace it."""
    if before.delivery_id == delivery.delivery_id and before.order < delivery.order:
        db.execute(
            "update meta.deliveries set version = ?, delivered_at = ?"
            " where source_name = ? and partition_key = ? and delivery_id = ? and is_current",
            [delivery.version, delivery.arrived_at, delivery.source.name, delivery.partition_key, delivery.delivery_id],
        )


def _remember_superseded(db, delivery: Delivery) -> None:
    known = db.execute(
        "select count(*) from meta.deliveries where source_name = ? and partition_key = ? and delivery_id = ?",
        [delivery.source.name, delivery.partition_key, delivery.delivery_id],
    ).fetchone()[0]
    if not known:
        _record(db, delivery, "superseded", notes="a newer delivery of the same partition lay beside it")


def _note_duplicate(db, delivery: Delivery, twin: str) -> None:
    db.begin()
    _clear(db, delivery.source, delivery.partition_key)
    db.execute(
        "delete from meta.deliveries where source_name = ? and partition_key = ? and (is_current or status = 'duplicate')",
        [delivery.source.name, delivery.partition_key],
    )
    _record(db, delivery, "duplicate", notes=f"the same content as {twin}, loaded once")
    db.commit()


def _record(
    db, delivery: Delivery, status: str, *, loaded_at=None, counts=(None, None, None), error=None, columns=None, notes=None
) -> None:
    source = delivery.source
    db.execute(
        "insert into meta.deliveries by name select $source_name as source_name, $table_name as table_name,"
        " $partition_key as partition_key, $delivery_id as delivery_id, $version as version, $file_names as file_names,"
        " $bytes as bytes, $delivered_at as delivered_at, $loaded_at as loaded_at, $status = 'loaded' as is_current,"
        " $delivered as rows_delivered, $loaded as rows_loaded, $quarantined as rows_quarantined, $status as status,"
        " $error as error, $columns as columns, $notes as notes",
        {
            "source_name": source.name,
            "table_name": source.table,
            "partition_key": delivery.partition_key,
            "delivery_id": delivery.delivery_id,
            "version": delivery.version,
            "file_names": list(delivery.names),
            "bytes": delivery.bytes,
            "delivered_at": delivery.arrived_at,
            "loaded_at": loaded_at,
            "delivered": counts[0],
            "loaded": counts[1],
            "quarantined": counts[2],
            "status": status,
            "error": error,
            "columns": columns,
            "notes": notes,
        },
    )


def _current_on(db, source: Source, days: tuple) -> set[str]:
    rows = db.execute(
        "select distinct delivery_id from meta.delivery_days where source_name = ? and usage_date between ? and ?",
        [source.name, *days],
    ).fetchall()
    return {row[0] for row in rows}


def _kept(workspace: Workspace, db, source: Source) -> list[Delivery]:
    """The source's current deliveries, from where their content is kept."""
    kept = []
    for delivery in _current(db, source).values():
        home = workspace.deliveries / source.name / delivery.delivery_id
        files = tuple(home / f"{number:04d}" / Path(name).name for number, name in enumerate(delivery.names))
        kept.append(replace(delivery, files=files))
    return kept


def _first_reasons(db, source: Source, delivery_id: str) -> str:
    rows = db.execute(
        "select 'row ' || file_row || ', ' || column_name || ' ' || coalesce('''' || value || ''' ', '') || reason from raw.quarantine"
        " where source_name = ? and delivery_id = ? order by file_row limit 3",
        [source.name, delivery_id],
    ).fetchall()
    return "; ".join(row[0] for row in rows)


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make sure the tables that loads write to exist."""
    schema.ensure(db)
