"""OpenCost's and Kubecost's allocations as the relation ``delivery``: one row per container (or pod) and window.

Source: OpenCost's API (``/allocation/compute``, ``/allocation``), Kubecost's ``/model/allocation`` and its summary, and the
daily CSV that OpenCost writes ("CSV export").

- JSON is pages ``{"code", "data": [{name: allocation}, ...]}``, one map a window; summaries have ``{"data": {"sets": [...]}}``.
  Also JSON lines of pages, of maps or of allocations, and flat rows with the API's names or the CSV export's.
- ``__idle__``, ``__unallocated__``, ``__unmounted__`` and the like are nobody's and left out. An allocation of a namespace or a
  label is not one pod's: it is refused, as which pod held what cannot be told from it.
- Averages are over [start, end) of the allocation, not over the window.
- The CSV export knows neither nodes nor hours: there a pod counts for the whole day that it ran in.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import records
from tollbook.sources.records import field
from tollbook.sources.typing import text

# names of columns, without case and marks, and the field of the API they stand for
_COLUMNS = {
    "name": "name", "start": "start", "end": "end", "starttime": "start", "endtime": "end", "windowstart": "start", "windowend": "end",
    "date": "date", "minutes": "minutes", "cluster": "cluster", "node": "node", "namespace": "namespace", "pod": "pod",
    "container": "container", "controller": "controller", "controllername": "controller", "controllerkind": "controllerKind",
    "labels": "labels", "providerid": "providerID", "cpucores": "cpuCores", "cpucorehours": "cpuCoreHours",
    "cpucorerequestaverage": "cpuCoreRequestAverage", "cpucoreusageaverage": "cpuCoreUsageAverage", "rambytes": "ramBytes",
    "rambytehours": "ramByteHours", "rambyterequestaverage": "ramByteRequestAverage", "rambytesrequestaverage": "ramByteRequestAverage",
    "rambyteusageaverage": "ramByteUsageAverage", "rambytesusageaverage": "ramByteUsageAverage", "gpus": "gpuCount",
    "gpucount": "gpuCount", "gpuhours": "gpuHours", "gpurequestaverage": "gpuRequestAverage", "gpuuuid": "gpuUUID",
    "gpumodel": "gpuModel", "isgpushared": "isGPUShared",
}  # fmt: skip

_ALLOCATIONS = """
create or replace temp table opencost_rows as
with pages as (
    select record_no, coalesce(record->'$.data', record) as data, record from records where not is_failed(record)
),

sets as (
    select record_no, unnest(case
        when is_allocation(data) then [data]
        when json_type(data, '$.sets') = 'ARRAY' then (data->'$.sets')::json[]
        when json_type(data) = 'ARRAY' then data::json[]
        when json_type(data) = 'OBJECT' then [data]
        else []::json[]
    end) as part
    from pages
),

windows as (
    select record_no, row_number() over (order by record_no) as window_no, coalesce(part->'$.allocations', part) as part from sets
),

named as (
    select window_no, 0 as place, '' as key, part as a from windows where is_allocation(part)
    union all
    -- the map unnested without itself beside every entry: it may be large
    select window_no, place, key, a
    from (
        select
            window_no, unnest(range(1, len(json_keys(part)) + 1)) as place, unnest(json_keys(part)) as key,
            unnest(json_extract(part, '$.*')) as a
        from windows
        where not is_allocation(part)
    )
    where json_type(a) = 'OBJECT'
)

select row_number() over (order by window_no, place) as file_row, key, a from named
"""

_DELIVERY = """
create or replace temp table opencost_allocations as
with parts as (
    select file_row, a, {name} as name, string_split({name}, '/') as steps from opencost_rows
),

named as (
    select
        file_row, a, name, steps,
        -- a summary has no properties, but the name of all of them
        coalesce({cluster}, case when {pod} is null and len(steps) = 5 then steps[1] end) as cluster,
        coalesce({node}, case when {pod} is null and len(steps) = 5 then steps[2] end) as node,
        coalesce({namespace}, case when {pod} is null and len(steps) = 5 then steps[3] end) as namespace,
        coalesce({pod}, case when {pod} is null and len(steps) = 5 then steps[4] end) as pod,
        coalesce({container}, case when {pod} is null and len(steps) = 5 then steps[5] end) as container,
        coalesce({start}, {date} || 'T00:00:00Z') as started_at,
        coalesce({end}, (try_cast({date} as date) + 1)::date::varchar || 'T00:00:00Z') as ended_at,
        {labels} as given_labels
    from parts
)

select
    *,
    list_any_value(list_filter([pod, container, namespace, node, steps[-1]], lambda step: regexp_full_match(step, '__\\w+__'))) as nobody,
    epoch_us(try_cast(ended_at as timestamptz)) - epoch_us(try_cast(started_at as timestamptz)) as microseconds,
    namespace || '/' || pod || coalesce('/' || container, '') as holding_id
from named
"""


def open_allocations(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``delivery``: a (JSON of the allocation), its place and times as text, nobody (NULL for a pod's), microseconds, file_row.

    Raises:
        DeliveryError: unreadable file.
    """
    if records.open_records(db, file):
        _rename(db)
    db.execute(
        "create or replace temp macro is_allocation(a) as"
        " coalesce(coalesce(json_type(a, '$.start'), json_type(a, '$.date')) = 'VARCHAR' or json_type(a, '$.properties') = 'OBJECT', false)"
    )
    db.execute(
        "create or replace temp macro is_failed(r) as json_type(r, '$.data') is distinct from 'ARRAY'"
        " and json_type(r, '$.data') is distinct from 'OBJECT' and (json_exists(r, '$.code') or json_exists(r, '$.message'))"
    )
    db.execute(
        "insert into unread select record_no, 'code', coalesce(record->>'$.message', record->>'$.code'), 'is an error that the API answered'"
        " from records where is_failed(record)"
    )
    db.execute(_ALLOCATIONS)
    labels = "coalesce(a->'$.properties.labels', a->'$.labels')"
    places = {key: field("a", f"properties.{key}", key) for key in ("cluster", "node", "namespace", "pod", "container")}
    db.execute(
        _DELIVERY.format(
            name=f"coalesce({field('a', 'name')}, nullif(key, ''), '')",
            start=field("a", "start", "window.start"),
            end=field("a", "end", "window.end"),
            date=f"left({field('a', 'date')}, 10)",
            # a CSV has the object as text
            labels=f"case when json_type({labels}) = 'VARCHAR' then try_cast({labels}->>'$' as json) else {labels} end",
            **places,
        )
    )
    db.execute(
        "insert into unread select file_row, 'pod', name, 'is no allocation of a pod: ask OpenCost for it without `aggregate`'"
        " from opencost_allocations where nobody is null and pod is null"
    )
    db.execute("drop view if exists temp.delivery; create temp view delivery as from opencost_allocations")


def number(*paths: str) -> str:
    """The SQL of an allocation's number as a decimal, NULL where none of the paths has one."""
    return f"try_cast({field('a', *paths)} as decimal(38, 12))"


def _rename(db: duckdb.DuckDBPyConnection) -> None:
    """Give flat rows the API's names."""
    keys = [row[0] for row in db.execute("select distinct unnest(json_keys(record)) from records").fetchall()]
    plain = {key: _COLUMNS.get("".join(mark for mark in key.lower() if mark.isalnum()), key) for key in keys}
    pairs = ", ".join(f"{text(name)}, record->{text(records.json_path(key))}" for key, name in plain.items())
    if pairs:
        db.execute(
            f"create or replace temp table records as select record_no, json_merge_patch('{{}}'::json, json_object({pairs})) as record from records"
        )
