"""Load deliveries into ``raw``: one transaction each, the newest of a partition current, bad rows in quarantine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError, TollbookError
from tollbook.landing import deliveries, intake, touched
from tollbook.landing.deliveries import Delivery
from tollbook.warehouse import schema
from tollbook.workspace import Source, Workspace


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
        counts, columns = [0, 0, 0, 0], set()
        stated = delivery.rows or (None,) * len(kept.files)
        for name, file, rows in zip(kept.names, kept.files, stated, strict=True):
            one, found = intake.insert(db, workspace, delivery, name, file)
            if rows not in (None, one[0]):
                raise DeliveryError(
                    f"{name} has {one[0]:,} rows, its manifest states {rows:,}: the delivery is not complete."
                    " Nothing of it was loaded; the next load looks again."
                )
            counts = [total + part for total, part in zip(counts, one, strict=True)]
            columns |= found
        if counts[1] == counts[3] == 0:
            said = intake.first_reasons(db, source, delivery.delivery_id)
            raise DeliveryError(
                f"{', '.join(delivery.names)}: "
                + (f"none of its {counts[0]} rows can be used: {said}" if counts[0] else "has a header but no rows")
                + ". Deliver it again; what was loaded before stays."
            )
        touched.by_delivery(db, source, delivery.delivery_id)
        db.execute(
            "update meta.deliveries set is_current = false where source_name = ? and partition_key = ?",
            [source.name, delivery.partition_key],
        )
        db.execute(
            "delete from meta.deliveries where source_name = ? and partition_key = ? and delivery_id = ?",
            [source.name, delivery.partition_key, delivery.delivery_id],
        )
        _record(db, delivery, "loaded", loaded_at=now, counts=counts[:3], columns=sorted(columns))
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


def _clear(db, source: Source, partition_key: str) -> None:
    """Take the partition's current delivery out of raw; its days are touched."""
    current = db.execute(
        "select delivery_id from meta.deliveries where source_name = ? and partition_key = ? and is_current",
        [source.name, partition_key],
    ).fetchall()
    for (delivery_id,) in current:
        if source.table == "prices":
            touched.by_prices(db, source, delivery_id)
        touched.by_open_ends(db, source, delivery_id)
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


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make sure the tables that loads write to exist."""
    schema.ensure(db)
