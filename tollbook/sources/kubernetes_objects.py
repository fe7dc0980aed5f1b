"""Open a file of Kubernetes API objects as the temp table ``k8s_objects``, one row per object in the order of the file.

- A file is one object or many: lists (PodList, ``kubectl get -o json``), watch events ``{"type", "object"}``, bare objects, arrays of
  them; one per line, indented, or several lists one after the other. In a file of lines a broken line does not cost the others.
- ``object_no`` counts objects from 1, those inside lists one by one (it is the rows' ``file_row``).
- A list is a snapshot: what it does not have any more is gone. Pages of a list (``metadata.continue``) are one snapshot. A list of one
  namespace speaks for that one only.
- Lists say no time. ``seen_at`` is what stands beside them (``timestamp``, ``captured_at`` … of the list, event or line), else the time in
  the file's name (``pods-2026-09-01T10:00:00Z.json``) where the file is one snapshot, else the latest moment that the objects speak of.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import fsspec

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import text

_JSON = (".json", ".jsonl", ".ndjson", ".log", ".txt", "")
_LARGEST = 1 << 31
# compressed lists repeat themselves a lot
_INFLATED = 50
_STATED = (
    "timestamp", "@timestamp", "time", "ts", "captured_at", "capturedAt", "collected_at", "collectedAt", "observed_at", "observedAt",
    "snapshot_at", "snapshotAt", "snapshot_time", "snapshotTime", "received_at", "receivedAt", "stageTimestamp",
)  # fmt: skip
_NAMED_TIME = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})[T_ -]?(\d{2})[:_-]?(\d{2})(?:[:_-]?(\d{2}))?(?!\d)")

_MACROS = r"""
create or replace temp macro k8s_time(t) as case
    when regexp_full_match(t, '[0-9]{9,10}([.][0-9]+)?') then make_timestamp((try_cast(t as decimal(18, 6)) * 1000000)::bigint)
    when regexp_full_match(t, '[0-9]{13}') then make_timestamp(try_cast(t as bigint) * 1000)
    when t[1] between '0' and '9' then try_cast(t as timestamptz) at time zone 'UTC'
end
"""

_OBJECTS = """
create or replace temp table k8s_objects as
with elements as (
    select record_no, json_type(record) = 'ARRAY' as is_array, case when is_array then record::json[] else [record] end as parts
    from k8s_records
    where record is not null
),

parts as (
    select record_no, is_array, unnest(parts) as part, unnest(range(1, len(parts) + 1)) as part_place from elements
),

bodies as (
    select
        *,
        json_type(part, '$.object') = 'OBJECT' and json_type(part, '$.metadata') is null as is_wrapped,
        case when is_wrapped then upper(part->>'$.type') end as event,
        case when is_wrapped then part->'$.object' else part end as body,
        json_type(body, '$.items') = 'ARRAY' as is_list,
        k8s_time(coalesce({stated})) as stated_at
    from parts
),

lists as (
    select
        * exclude (part, body),
        case when is_list then (body->'$.items')::json[] else [body] end as items,
        case when is_list then regexp_replace(body->>'$.kind', 'List$', '') end as list_kind,
        coalesce(nullif(body->>'$.metadata.continue', ''), '') <> '' as is_cut
    from bodies
),

numbered as (
    select
        record_no, part_place, is_array, is_list, event, stated_at, list_kind, is_cut,
        unnest(items) as item, unnest(range(1, len(items) + 1)) as place
    from lists
)

select
    row_number() over (order by record_no, part_place, place) as object_no,
    -- what was seen at once: a list, or an array of objects
    dense_rank() over (order by record_no, if(is_array and not coalesce(is_list, false), 0, part_place)) as list_no,
    coalesce(is_list or is_array, false) as is_list,
    is_cut,
    event,
    stated_at,
    coalesce(item->>'$.kind', nullif(list_kind, '')) as kind,
    item
from numbered
"""

_UNREAD = """
insert into unread
select record_no, '', null, 'is not a JSON object' from k8s_records where record is null
union all
select object_no, 'type', left(item::varchar, 200), 'is an error that the API answered' from k8s_objects
where event = 'ERROR' or kind = 'Status'
union all
select object_no, '', left(item::varchar, 200), 'is not a Kubernetes object' from k8s_objects
where event is distinct from 'ERROR' and kind is distinct from 'Status'
    and (json_type(item) <> 'OBJECT' or (kind is null and json_type(item, '$.metadata') is null))
"""

# pages of one list are one snapshot; times that nobody states never run backwards
_SNAPSHOTS = """
create or replace temp table k8s_snapshots as
with groups as (
    select list_no, bool_or(is_list) as is_list, bool_or(is_cut) as is_cut, max(stated_at) as stated_at, max(told_at) as told_at
    from k8s_objects left join k8s_told using (object_no)
    group by list_no
),

pages as (
    select *, coalesce(sum(if(is_cut, 0, 1)) over (order by list_no rows between unbounded preceding and 1 preceding), 0) as page_group
    from groups
),

snapshots as (
    select
        *,
        max(stated_at) over same as stated_by_page,
        max(told_at) over (order by list_no rows unbounded preceding) as told_so_far,
        min(list_no) over same as snapshot_no,
        count(*) over () = 1 as is_alone
    from pages
    window same as (partition by page_group)
),

timed as (
    select
        *,
        coalesce(stated_by_page, if(is_alone, {named}, null), max(told_so_far) over (partition by snapshot_no)) as seen_at
    from snapshots
)

select
    list_no, snapshot_no, is_list, seen_at,
    dense_rank() over (order by seen_at nulls first, snapshot_no) as turn
from timed
"""


def open_objects(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``k8s_objects`` (object_no, list_no, is_list, is_cut, event, stated_at, kind, item) and ``unread`` for ``file``.

    Raises:
        DeliveryError: the file is empty, no JSON, or cut off.
    """
    size = file.stat().st_size
    if size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    if files.kind(file) not in _JSON:
        raise DeliveryError(f"{file.name}: objects of the Kubernetes API are JSON (.json, .jsonl, .ndjson, also with .gz or .zst).")
    packed = file.suffix.lower() in (".gz", ".zst")
    largest = min(max(1 << 24, size * (_INFLATED if packed else 1)), _LARGEST)
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    db.execute("drop view if exists temp.delivery")
    db.execute(_MACROS)
    try:
        layout = "'newline_delimited', ignore_errors = true" if _is_lines(file) else "'unstructured'"
        db.execute(
            "create or replace temp table k8s_records as select row_number() over () as record_no, json as record"
            f" from read_json_objects({files.path_text(file)}, format = {layout}, maximum_object_size = {largest})"
        )
    except (duckdb.Error, OSError, EOFError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error
    db.execute(_OBJECTS.format(stated=", ".join(f"part->>{text('$.' + json.dumps(name))}" for name in _STATED)))
    db.execute(_UNREAD)
    db.execute("drop table k8s_records")


def time_snapshots(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``k8s_snapshots`` (list_no, snapshot_no, is_list, seen_at, turn), from ``k8s_told`` (object_no, told_at): the latest moment
    that each object speaks of. ``turn`` orders what was seen.
    """
    named = named_time(file)
    db.execute(_SNAPSHOTS.format(named=f"timestamp '{named}'" if named else "null::timestamp"))


def named_time(file: Path) -> datetime | None:
    """The moment (UTC) in the file's name, where one stands there with its time of day."""
    for match in _NAMED_TIME.finditer(file.name):
        try:
            return datetime(*(int(part or 0) for part in match.groups()))
        except ValueError:
            continue
    epoch = re.search(r"(?<!\d)1\d{9}(?!\d)", file.name)
    return datetime.fromtimestamp(int(epoch.group()), UTC).replace(tzinfo=None) if epoch else None


def _is_lines(file: Path) -> bool:
    """Whether the file is one object per line: in an indented one no line has more than an empty object to itself."""
    with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8-sig", errors="replace") as lines:
        first = lines.readline(1 << 26)
        if first.strip() in ("[", "{", "") and not first.endswith("\n"):
            return False
        for line in (first, *(lines.readline(1 << 20) for _ in range(50))):
            if line.lstrip().startswith("{") and line.rstrip().endswith("}"):
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                if found and {"kind", "items", "object", "metadata", "type"} & found.keys():
                    return True
    return False
