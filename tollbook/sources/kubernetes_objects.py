"""Open a file of Kubernetes API objects as the temp table ``k8s_objects``, one row per object in the order of the file.

- A file is one object or many: lists (PodList, ``kubectl get -o json``), watch events ``{"type", "object"}``, bare objects, arrays of
  them; one per line, indented, or several lists one after the other. In a file of lines a broken line does not cost the others.
- ``object_no`` counts objects from 1, those inside lists one by one, a broken line as one (it is the rows' ``file_row``).
- A list is a snapshot: what it does not have any more is gone. Pages of a list (``metadata.continue``) are one snapshot. A list of one
  namespace speaks for that one only.
- Lists say no time. ``seen_at`` is what stands beside them (``timestamp``, ``captured_at`` … of the list, event or line), else the time in
  the file's name (``pods-2026-09-01T10:00:00Z.json``) where the file is one snapshot, else the latest moment that the objects speak of.
"""

from __future__ import annotations

import json
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import zstandard

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.kubernetes_files import Cutter, Listed

_JSON = (".json", ".jsonl", ".ndjson", ".log", ".txt", "")
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

# what stands beside an object or a list counts; an event's object has metadata, an event has none
_OBJECTS = """
create or replace temp table k8s_objects as
with lines as (
    select
        row_number() over () as object_no,
        json as line,
        json_transform(json, '{{"kind": "VARCHAR", "type": "VARCHAR", "object": "JSON", "metadata": "JSON", {stated}}}') as said
    from read_json_objects({path}, format = 'newline_delimited', ignore_errors = true, maximum_object_size = {most})
),

members as (
    select unnest(range(first_no, after_no)) as object_no, * exclude (after_no) from k8s_lists
),

listed as (
    select
        lines.*,
        first_no, members.kind as list_kind, is_cut, stated,
        first_no is not null as is_list,
        said.object is not null and said.metadata is null as is_wrapped
    from lines left join members using (object_no)
)

select
    object_no,
    if(is_list, first_no, object_no) as list_no,
    is_list,
    is_list and coalesce(is_cut, false) as is_cut,
    case when is_wrapped then upper(said.type) end as event,
    k8s_time(coalesce(if(is_list, stated, null), {moments})) as stated_at,
    if(is_wrapped, said.object, line) as item,
    coalesce(if(is_wrapped, said.object->>'$.kind', said.kind), if(is_list, nullif(list_kind, ''), null)) as kind
from listed
"""

_UNREAD = """
insert into unread
select object_no, '', null, 'is not a JSON object' from k8s_objects where item is null
union all
select object_no, 'type', left(item::varchar, 200), 'is an error that the API answered' from k8s_objects
where event = 'ERROR' or kind = 'Status'
union all
select object_no, '', left(item::varchar, 200), 'is not a Kubernetes object' from k8s_objects
where item is not null and event is distinct from 'ERROR' and kind is distinct from 'Status' and (
    json_type(item) <> 'OBJECT' or (kind is null and json_type(item, '$.metadata') is null and event is distinct from 'BOOKMARK')
)
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
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    db.execute("drop view if exists temp.delivery")
    db.execute(_MACROS)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "objects.ndjson"
        try:
            with lines.open("w", encoding="utf-8", newline="\n") as out:
                cutter = Cutter(out)
                cutter.cut(file)
            _remember_lists(db, cutter.lists)
            named = [json.dumps(name) for name in _STATED]
            stated, moments = ", ".join(f'{name}: "VARCHAR"' for name in named), ", ".join(f"said.{name}" for name in named)
            db.execute(_OBJECTS.format(path=files.path_text(lines), most=max(4 * cutter.longest, 1 << 22), stated=stated, moments=moments))
        except (duckdb.Error, OSError, EOFError, ValueError, IndexError, AttributeError, zstandard.ZstdError) as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {reason}") from error
    db.execute(_UNREAD)


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


def _remember_lists(db: duckdb.DuckDBPyConnection, lists: list[Listed]) -> None:
    """Make ``k8s_lists``: the numbers of its first object and the one after its last, and what each list says of itself."""
    db.execute("create or replace temp table k8s_lists (first_no bigint, after_no bigint, kind varchar, is_cut boolean, stated varchar)")
    rows = []
    for one in lists:
        metadata = one.said.get("metadata")
        stated = next((str(one.said[name]) for name in _STATED if one.said.get(name) is not None), None)
        is_cut = isinstance(metadata, dict) and bool(metadata.get("continue"))
        rows.append([one.first, one.after, str(one.said.get("kind") or "").removesuffix("List"), is_cut, stated])
    if rows:
        db.executemany("insert into k8s_lists values (?, ?, ?, ?, ?)", rows)
