"""The rows of one delivered file into ``raw``: typed, checked, the faulty ones in quarantine with the reason."""

from __future__ import annotations

import re
from pathlib import Path

from tollbook.errors import DeliveryError
from tollbook.landing import pseudonyms
from tollbook.landing.deliveries import Delivery
from tollbook.sources import reader_of
from tollbook.sources.typing import quoted, reason, text, typed
from tollbook.workspace import OWN_TABLES, Source, Workspace, canonical_tables


def insert(db, workspace: Workspace, delivery: Delivery, name: str, file: Path) -> tuple[list[int], set[str]]:
    """Insert one file's good rows, quarantine the others; counts (delivered, loaded, quarantined, left out), delivered columns.

    Left out is what the source's own projection or option leaves out on purpose, counted only where it is all there is.

    Raises:
        DeliveryError: the file cannot be read, or lacks a required column.
    """
    source = delivery.source
    db.execute("drop view if exists temp.delivery")
    # where the file lay when it came: its path may say what the file does not
    db.execute("set variable delivered_name = ?", [name])
    names = pseudonyms.columns(source.table)
    if names:
        pseudonyms.prepare(db, workspace)
    select = reader_of(source)(db, file, source, source.currency or workspace.currency)
    described = _described(db, select)
    columns = _delivered_columns(db) or set(described) - {"file_row", "cast_fault"}
    if names:
        select = pseudonyms.replaced(db, select, described, names)
    rows = typed_rows(db, source, file, select)
    origin = f"{text(source.name)} as source_name, {text(delivery.delivery_id)} as delivery_id, {text(name)} as file_name"

    # one pass where all is well: the faulty rows are only looked for when some are missing
    loaded = db.execute(
        f"insert into raw.{source.table} by name select * exclude (fault), {origin} from ({rows}) where fault is null"
    ).fetchone()[0]
    delivered_rows = db.execute(f"select count(*) from ({select})").fetchone()[0]
    # what may be a user's id is kept nowhere; whole lines may have one that no projection takes
    fault_value, value, said = "fault.value", "value", "reason"
    if names:
        value, said = f"case when column_name = '' then {pseudonyms.kept('value')} else value end", pseudonyms.without_quotes("reason")
    if set(names) & {column.casefold() for column in described}:
        fault_value, value = pseudonyms.kept("fault.value"), pseudonyms.kept("value")
    if loaded < delivered_rows:
        db.execute(
            f"insert into raw.quarantine by name select {origin}, file_row, fault.column_name, {fault_value} as value, fault.reason,"
            f" now()::timestamp as quarantined_at from ({rows}) where fault is not null"
        )
    unreadable = db.execute(
        f"insert into raw.quarantine by name select {origin}, file_row, column_name, {value} as value, {said} as reason,"
        " now()::timestamp as quarantined_at from unread"
    ).fetchone()[0]
    left_out = 0
    if delivered_rows + unreadable == 0 and _has_delivery(db):
        left_out = db.execute("select count(*) from delivery").fetchone()[0]
    return [delivered_rows + unreadable, loaded, delivered_rows - loaded + unreadable, left_out], columns


def typed_rows(db, source: Source, file: Path, select: str) -> str:
    """The SELECT of the file's rows with the canonical types and ``fault``: NULL, or the struct of the first thing wrong with a row.

    Raises:
        DeliveryError: the file lacks a required column, or has one that the table does not know.
    """
    described = _described(db, select)
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
    checked = f"select {', '.join(values)}, file_row, {_first(faults)} as fault from ({select})"
    broken = [
        _fault(f"not ({check['sql']})", check["column"], f"{check['column']}::varchar", check["says"])
        for check in checks
        if named[check["sql"]] <= present
    ]
    return f"select * replace ({_first(['fault', *broken])} as fault) from ({checked})"


def _described(db, select: str) -> dict[str, str]:
    """The columns of the SELECT, and their types."""
    return {row[0]: row[1] for row in db.execute(f"describe {select}").fetchall()}


def _delivered_columns(db) -> set[str]:
    """The columns of the file as delivered; none where the reader keeps no relation of them."""
    return {row[0] for row in db.execute("describe delivery").fetchall()} - {"file_row"} if _has_delivery(db) else set()


def _has_delivery(db) -> bool:
    return db.execute("select count(*) > 0 from duckdb_views() where view_name = 'delivery' and temporary").fetchone()[0]


def _fault(condition: str, column: str, value: str, says: str) -> str:
    return f"case when {condition} then {{'column_name': {text(column)}, 'value': {value}, 'reason': {text(says)}}} end"


def _first(faults: list[str]) -> str:
    if not faults:
        return "null::struct(column_name varchar, value varchar, reason varchar)"
    return f"coalesce({', '.join(faults)})::struct(column_name varchar, value varchar, reason varchar)"


def first_reasons(db, source: Source, delivery_id: str) -> str:
    """Why the first rows of the delivery are in quarantine."""
    rows = db.execute(
        "select 'row ' || file_row || ', ' || column_name || ' ' || coalesce('''' || value || ''' ', '') || reason from raw.quarantine"
        " where source_name = ? and delivery_id = ? order by file_row limit 3",
        [source.name, delivery_id],
    ).fetchall()
    return "; ".join(row[0] for row in rows)
