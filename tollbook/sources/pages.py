"""Model vendors' usage and cost reports as results: pages of time buckets of results, opened as the relation ``delivery``.

A file is one page of the API (an object with ``data``), an array of pages, JSON lines of pages or of buckets (objects with
``results``), or flat rows (CSV, Parquet, JSON lines) in which each result carries its bucket's times.

- Numbers are taken as their text: the engine's JSON functions would read 0.1234567890123456789 as a binary float.
- A bucket delivered again unchanged (a page written twice, overlapping pulls) counts once. A bucket that comes again with
  another amount for the same result is refused: which one is right cannot be told from the file.
- A bucket without results is a period without use: it gives no row.
- ``file_row`` is the number of the result in the file, repeated ones counted, from 1.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text

_JSON = (".json", ".jsonl", ".ndjson")
_LARGEST_PAGE = 1 << 30
# compressed pages are larger than their file; what repeats as much as they do shrinks to a fiftieth at most
_INFLATED = 50


def open_results(db: duckdb.DuckDBPyConnection, file: Path, dimensions: tuple[str, ...]) -> None:
    """Make ``delivery`` (starts, ends: text as typed by ``typing``; result: JSON, numbers as text; file_row) and ``unread``.

    ``dimensions`` are the keys that tell the results of a bucket apart.

    Raises:
        DeliveryError: unreadable file, or a bucket told twice with different amounts.
    """
    is_json = files.kind(file) in _JSON
    if is_json:
        _read_json(db, file)
    else:
        _read_rows(db, file)
    db.execute(_BUCKETS)
    db.execute(
        "insert into unread select bucket_no, 'results', left(bucket::varchar, 200),"
        " case when json_exists(bucket, '$.error') then 'is an error that the API answered' else 'is no page and no bucket of results' end"
        " from vendor_buckets where results is null"
    )
    db.execute(_RESULTS)
    _refuse_contradictions(db, file, dimensions)
    db.execute("drop view if exists temp.delivery")
    db.execute("create temp view delivery as select starts, ends, result, file_row from vendor_results where is_first")


def field(*path: str) -> str:
    """The SQL of a result's value as text, NULL where it is absent, null or blank."""
    steps = "." + ".".join(quoted(step) for step in path)
    return f"nullif(trim(result->>{text('$' + steps)}), '')"


def rest(*known: str) -> str:
    """The SQL of a JSON object of the result's keys that are not ``known``; NULL where there are none."""
    without = "{" + ",".join(f'"{name}":null' for name in known) + "}"
    # merged into nothing, keys without a value go too
    return f"nullif(json_merge_patch('{{}}'::json, json_merge_patch(result, {text(without)}::json))::varchar, '{{}}')"


def details(**parts: str) -> str:
    """The SQL of a JSON object of names and SQL values, those that are NULL left out; NULL where all are."""
    pairs = ", ".join(f"{text(name)}, {value}" for name, value in parts.items())
    return f"nullif(json_merge_patch('{{}}'::json, json_object({pairs}))::varchar, '{{}}')"


def month(moment: str, later: int = 0) -> str:
    """The SQL of the first of the UTC month that the moment lies in, or of a later one."""
    return f"date_trunc('month', try_cast({moment} as timestamptz) at time zone 'UTC') + interval {later} month"


def _read_json(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    size = file.stat().st_size
    if size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    largest = min(max(1 << 24, size * (1 if file.suffix.lower() in _JSON else _INFLATED)), _LARGEST_PAGE)
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    try:
        db.execute(
            "create or replace temp table vendor_records as"
            f" select row_number() over () as record_no, {files.numbers_as_text('json::varchar')}::json as record, false as is_row"
            f" from read_json_objects({files.path_text(file)}, format = 'unstructured', maximum_object_size = {largest})"
        )
    except (duckdb.Error, OSError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error


def _read_rows(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    opened = files.open_delivery(db, file, all_text=True)
    pairs = ", ".join(f"{text(column.strip().lower())}, {quoted(column)}::varchar" for column in opened.columns)
    db.execute(
        "create or replace temp table vendor_records as"
        f" select file_row as record_no, json_object({pairs}) as record, true as is_row from delivery"
    )


# One row per bucket, its list of results NULL where it is none
_BUCKETS = """
create or replace temp table vendor_buckets as
with parts as (
    select is_row, unnest(case when json_type(record) = 'ARRAY' then record::json[] else [record] end) as part
    from vendor_records
),

items as (
    select
        is_row,
        unnest(case when json_type(part, '$.data') = 'ARRAY' then (part->'$.data')::json[] else [part] end) as bucket
    from parts
),

numbered as (
    select
        row_number() over () as bucket_no,
        bucket,
        coalesce(bucket->'$.results', bucket->'$.result') as results,
        -- a flat row is a result that carries its bucket's times
        is_row or (
            not json_exists(bucket, '$.results') and not json_exists(bucket, '$.result')
            and coalesce(bucket->>'$.start_time', bucket->>'$.starting_at', bucket->>'$.start_time_iso') is not null
        ) as is_flat,
        coalesce(bucket->>'$.start_time', bucket->>'$.starting_at', bucket->>'$.start_time_iso') as starts,
        coalesce(bucket->>'$.end_time', bucket->>'$.ending_at', bucket->>'$.end_time_iso') as ends
    from items
)

select
    bucket_no,
    bucket,
    is_flat,
    case
        when is_flat then [bucket]
        when json_type(results) = 'ARRAY' then results::json[]
        when json_type(results) = 'NULL' then []::json[]
    end as results,
    case when regexp_full_match(starts, '[0-9]{1,11}([.]0*)?') then make_timestamp(starts::decimal(18, 0)::bigint * 1000000) || '+00' else starts end as starts,
    case when regexp_full_match(ends, '[0-9]{1,11}([.]0*)?') then make_timestamp(ends::decimal(18, 0)::bigint * 1000000) || '+00' else ends end as ends
from numbered
"""

_RESULTS = """
create or replace temp table vendor_results as
with buckets as (
    select
        *,
        is_flat or row_number() over (partition by is_flat, starts, ends, results::varchar order by bucket_no) = 1 as is_first
    from vendor_buckets
    where results is not null
),

results as (
    select bucket_no, starts, ends, is_flat, is_first, unnest(results) as result, unnest(range(1, len(results) + 1)) as place
    from buckets
)

select *, row_number() over (order by bucket_no, place) as file_row from results
"""


def _refuse_contradictions(db: duckdb.DuckDBPyConnection, file: Path, dimensions: tuple[str, ...]) -> None:
    keys = ", ".join(field(*name.split(".")) for name in dimensions)
    told_twice = db.execute(
        "with suspects as (select starts, ends from vendor_buckets where not is_flat group by all having count(*) > 1)"
        " select starts, min(file_row), max(file_row) from vendor_results semi join suspects using (starts, ends)"
        f" where is_first and not is_flat group by starts, ends, {keys} having count(distinct bucket_no) > 1 order by starts limit 1"
    ).fetchone()
    if told_twice:
        starts, first, last = told_twice
        raise DeliveryError(
            f"{file.name}: the bucket that starts at {starts} comes more than once, with different amounts (results {first} and {last})."
            " Deliver one pull a file, or pull the range again; what was loaded before stays."
        )
