"""Files of JSON records as one relation: an API's saved page or pages, JSON lines, or flat rows (CSV, Parquet).

- Whole numbers keep every digit; fractions are read as binary floats, which is what telemetry is measured in.
- An array at the top is its elements; a broken line of JSON lines goes to ``unread``, the others stay.
- Flat rows are objects of their columns; what is empty is left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_LARGEST = 1 << 30


def open_records(db: duckdb.DuckDBPyConnection, file: Path) -> bool:
    """Make ``records`` (record_no from 1, record: JSON) and ``unread``; whether the file has flat rows.

    Raises:
        DeliveryError: unreadable file.
    """
    db.execute("drop view if exists temp.delivery")
    if files.kind(file) not in JSON_SUFFIXES:
        opened = files.open_delivery(db, file, all_text=True)
        pairs = ", ".join(f"{text(column.strip())}, {_filled(column, kind)}" for column, kind in opened.columns.items())
        db.execute(
            "create or replace temp table records as select file_row as record_no,"
            f" json_merge_patch('{{}}'::json, json_object({pairs})) as record from delivery"
        )
        return True
    if file.stat().st_size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    layout = "format = 'newline_delimited', ignore_errors = true" if _has_lines(file) else "format = 'unstructured'"
    try:
        db.execute(
            "create or replace temp table records as with read as materialized ("
            f" select json as record, row_number() over () as read_no"
            f" from read_json_objects({files.path_text(file)}, {layout}, maximum_object_size = {_LARGEST})"
            "), parts as ("
            " select read_no, unnest(case when json_type(record) = 'ARRAY' then record::json[] else [record] end) as record from read"
            ") select row_number() over (order by read_no) as record_no, record from parts"
        )
    except (duckdb.Error, OSError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error
    db.execute(
        "insert into unread select record_no, '', null, 'is not a JSON object' from records where json_type(record) is distinct from 'OBJECT'"
    )
    db.execute("delete from records where json_type(record) is distinct from 'OBJECT'")
    return False


def field(of: str, *paths: str) -> str:
    """The SQL of the first of the paths (keys joined by dots) that has a value in the JSON ``of``, as text; NULL where none has."""
    found = [f"nullif(trim({of}->>{text(json_path(*path.split('.')))}), '')" for path in paths]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def json_path(*keys: str) -> str:
    """The engine's path to a key in a key: ``$."a"."b"``."""
    return "$" + "".join(f".{quoted(key)}" for key in keys)


def json_labels(**parts: str) -> str:
    """The SQL of a JSON object of names and SQL values, those that are NULL left out; NULL where all are."""
    pairs = ", ".join(f"{text(name)}, {value}" for name, value in parts.items())
    return f"nullif(json_merge_patch('{{}}'::json, json_object({pairs}))::varchar, '{{}}')"


def _filled(column: str, kind: str) -> str:
    return f"nullif(trim({quoted(column)}), '')" if kind == "VARCHAR" else quoted(column)


def _has_lines(file: Path) -> bool:
    """Whether the first line is a JSON object of its own."""
    try:
        return isinstance(json.loads(files.header(file)), dict)
    except ValueError:
        return False
