"""Read Slurm's nodes as ``capacity``: what each node has, and what it can be used for.

Takes ``scontrol show node`` (also ``-o``), ``sinfo -N`` with a header and a delimiter, both with ``--json`` (Slurm 22.05 to 25.x),
``sacctmgr show instance`` (cloud nodes and the times in which they lived), and CSV or Parquet of the same columns.

None of them says since when a node exists, nor what was before. So there are two ways to keep them:

- one file that each dump replaces: a node exists from option ``since`` (else its BootTime, which moves with a reboot, else the
  moment of the dump) until the file says otherwise. A node that cannot be used has a second row, from the time of its Reason on.
- a file per dump, with option ``holds_hours``: each speaks for so many hours from its moment, of the node in its state. Let it be
  a little more than the time between dumps: where two overlap, the worse state counts.

The moment of a dump is JSON's ``last_update``, else a date and time in the file's name (``nodes-2026-03-01T0005.txt``).

GPUs are those of Gres, else CfgTRES. Where Slurm counts MIG slices, how many GPUs they are cut from is not told: ``gpu_count`` is
NULL, for another source to say. ``gpu_model`` is NULL where a node has several. The pool is the node's first partition. CPUs are
CPUTot, memory RealMemory in GB of 1024 MB. ``FUTURE`` nodes are left out. Sources: scontrol(1), sinfo(1), slurm.conf(5).
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import files, slurm_files, slurm_json, slurm_terms
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

_FIELDS = {
    "node": ("nodename", "nodelist", "node_name", "name"),
    "cluster": ("clustername", "cluster_name"),
    "pool": ("partition", "partitions", "partitionname"),
    "state": ("statelong", "statecompact"),
    "cpus": ("cputot", "cpus"),
    "memory": ("realmemory", "real_memory"),
    "disk": ("tmp_disk", "tmpdisk", "temporary_disk", "disk"),
    "gres": (),
    "tres": ("cfgtres",),
    "reason": (),
    "reason_at": ("timestamp", "reason_changed_at"),
    "boot_at": ("boottime", "boot_time"),
    "instance_id": ("instanceid",),
    "instance_type": ("instancetype",),
    "started": ("timestart", "start"),
    "ended": ("timeend", "end"),
}
_MARKS = ("nodelist", "nodename", "node", "node_name", "name")
_ADVICE = "Run `scontrol show node`, `sinfo --json`, or `sinfo -N -o '%N|%P|%T|%c|%m|%d|%G|%H|%E'` with its header."
#: keys of `scontrol show node`; each value is one word
_KEYS = {
    "node": "NodeName", "pool": "Partitions", "state": "State", "cpus": "CPUTot", "memory": "RealMemory", "disk": "TmpDisk",
    "gres": "Gres", "tres": "CfgTRES", "boot_at": "BootTime",
}  # fmt: skip
_DATE = re.compile(r"(20\d\d)-?(\d\d)-?(\d\d)(?:[T_-]?(\d\d)[:.-]?(\d\d)(?:[:.-]?(\d\d))?)?(?!\d)")


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one dump of nodes on ``db``; return the SELECT of canonical ``capacity`` columns plus ``file_row``.

    Of the source count ``cluster`` (where the file names none), ``timezone`` (IANA name of Slurm's clock) and the options
    ``since`` (a date or time; on Slurm's clock without an offset) and ``holds_hours`` (a number above 0).

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty or unreadable, has no nodes, or does not say its moment where it must.
    """
    source.refuse_other_options("since", "holds_hours")
    hours = source.option("holds_hours")
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float) or hours <= 0):
        raise ConfigError(f"{source.name}: option holds_hours is {hours!r}; it must be a number of hours above 0.")
    zone = slurm_terms.zone_of(db, source)
    slurm_terms.define(db)
    since = _since(db, source, zone)
    moment = _open(db, file, zone)
    if hours and moment == "null::timestamp":
        raise DeliveryError(
            f"{file.name} does not say when it was taken, which option holds_hours needs. Put date and time into its name,"
            " such as nodes-2026-03-01T0005.txt."
        )
    db.execute(slurm_terms.hosts("slurm_fields", "node"))
    db.execute(
        _NODES.format(
            zone=zone,
            cluster="null" if source.cluster is None else text(source.cluster),
            host=slurm_terms.HOST,
            known_from=f"coalesce(lived_from, {moment if hours else f'coalesce({since}, booted_at, {moment})'})",
            known_until=f"case when lived_from is null then {moment} + to_microseconds({round(hours * 3_600_000_000)}) end"
            if hours
            else "null",
        )
    )
    db.execute(slurm_terms.gpus("select gpus from slurm_nodes"))
    db.execute(_REFUSED)
    # what is left out on purpose makes no failure of a file that has nothing else
    db.execute("create or replace temp view delivery as from slurm_fields")
    return _DATED if hours else f"{_INVENTORY} union all {_UNUSABLE}"


def _since(db: duckdb.DuckDBPyConnection, source: Source, zone: str) -> str:
    value = source.option("since")
    if value is None:
        return "null::timestamp"
    moment = db.execute(f"select slurm_utc(replace(?, ' ', 'T'), {zone})", [str(value)]).fetchone()[0]
    if moment is None:
        raise ConfigError(f"{source.name}: option since is {value!r}; it must be a date or time such as 2026-03-01.")
    return f"timestamp '{moment}'"


def _open(db: duckdb.DuckDBPyConnection, file: Path, zone: str) -> str:
    """Make ``slurm_fields``; return the SQL of the dump's moment."""
    told = None
    if slurm_files.is_json(file) and slurm_json.open_answer(db, file, ("nodes", "sinfo"), "real_memory"):
        told = db.execute("select max(slurm_json_time(answer -> '$.last_update')) from slurm_json").fetchone()[0]
        slurm_json.make_fields(db, _FIELDS, slurm_json.NODES)
    elif files.kind(file) != ".parquet" and files.header(file).lstrip("\ufeff ").startswith("NodeName="):
        _open_blocks(db, file)
    else:
        slurm_files.open_fields(db, file, _FIELDS, _MARKS, _ADVICE, prose="reason")
    if told is None and (found := _DATE.search(file.name)):
        year, month, day, hour, minute, second = found.groups(default="00")
        told = f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    moment = db.execute(f"select slurm_utc(?, {zone})", [told]).fetchone()[0] if told else None
    return f"timestamp '{moment}'" if moment else "null::timestamp"


def _open_blocks(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``slurm_fields`` of the blocks, or lines, that start with NodeName=; what people wrote stands behind the keys."""
    slurm_files.read_lines(db, file)
    words = ", ".join(
        f"nullif(nullif(regexp_extract(keys, '(?:^|\\s){_KEYS[name]}=(\\S*)', 1), ''), '(null)') as {quoted(name)}"
        if name in _KEYS
        else f"{_BEHIND.get(name, 'null::varchar')} as {quoted(name)}"
        for name in _FIELDS
    )
    db.execute(
        f"create or replace temp table slurm_fields as select file_row, {words} from ("
        "   select file_row, block, regexp_extract(block, '^(.*?)(?:\\sReason=|\\sComment=|\\sExtra=|$)', 1, 's') as keys from ("
        "     select file_row, string_agg(line, chr(10) order by place) as block from ("
        "       select rowid as place, line, sum((line like 'NodeName=%')::int) over (order by rowid) as file_row"
        "       from (select rowid, ltrim(line, chr(65279) || ' ') as line from slurm_text where regexp_matches(line, '\\S'))"
        "     ) group by file_row))"
    )
    db.execute(
        "drop table slurm_text;"
        " create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar);"
        " create or replace temp table skipped (file_row bigint, reason varchar)"
    )


#: what stands behind free text: the last of its kind, or the first time in brackets behind Reason=
_BEHIND = {
    "reason_at": r"nullif(regexp_extract(block, '\sReason=.*?\[[^\[\]]*@([0-9][0-9T:-]*)\]', 1, 's'), '')",
    "instance_id": r"nullif(regexp_extract(block, '.*\sInstanceId=(\S+)', 1, 's'), '')",
    "instance_type": r"nullif(regexp_extract(block, '.*\sInstanceType=(\S+)', 1, 's'), '')",
}

_NODES = r"""
create or replace temp table slurm_nodes as
with named as (
    select
        slurm_fields.*,
        unnest(case
            when nodes is not null then nodes
            when regexp_full_match(node, '{host}') and not regexp_matches(node, '[\[,]') then [node]
            else [null]
        end) as node_name
    from slurm_fields
    left join slurm_hosts on slurm_fields.node = slurm_hosts.list
),

read as (
    select
        file_row,
        node,
        node_name,
        coalesce(slurm_known(cluster), {cluster}) as cluster,
        nullif(replace(string_split(slurm_known(pool), ',')[1], '*', ''), '') as pool,
        slurm_use(state) as use,
        slurm_count(cpus, 1000000) as cpu_count,
        slurm_memory(memory) as memory_count,
        slurm_memory(disk) as disk_count,
        case
            when regexp_matches(gres, '(^|,)(gres/)?gpu') then gres
            when regexp_matches(tres, '(^|,)gres/gpu') then tres
            when coalesce(gres, tres) is not null then ''
        end as gpus,
        slurm_utc(slurm_known(reason_at), {zone}) as unusable_from,
        slurm_utc(slurm_known(boot_at), {zone}) as booted_at,
        started is not null as is_instance,
        slurm_utc(slurm_known(started), {zone}) as lived_from,
        slurm_utc(slurm_known(ended), {zone}) as lived_until,
        slurm_known(instance_id) as instance_id,
        slurm_known(instance_type) as instance_type
    from named
)

select
    * exclude (node),
    node as said_node,
    {known_from} as known_from,
    coalesce(lived_until, {known_until}) as known_until,
    case
        when node_name is null then ['NodeName', node, 'is not a list of nodes']
        when is_instance and lived_from is null then ['TimeStart', null, 'is not a time']
        when known_from is null
            then ['BootTime', null, 'is not known: give option since, from when the nodes exist, or date the file''s name']
    end as fault,
    -- sinfo has a node once for each of its partitions
    row_number() over (partition by cluster, node_name, lived_from order by file_row) as time_told
from read
where use is distinct from 'future'
"""

_REFUSED = """
insert into unread select file_row, fault[1], fault[2], fault[3] from slurm_nodes where fault is not null;
insert into skipped select file_row, 'is told before, of another partition' from slurm_nodes where fault is null and time_told > 1
"""

_ROWS = """
select
    cluster, pool, node_name as node,
    case
        when len(kinds) = 1 and kinds[1].profile is null and kinds[1].amount > 0 then kinds[1].model
        when len(list_distinct(list_transform(kinds, lambda kind: kind.model))) = 1 then kinds[1].model
    end as gpu_model,
    case
        when gpus = '' then 0
        when len(list_filter(kinds, lambda kind: kind.profile is not null)) = 0 then kinds[1].amount
    end::decimal(18, 6) as gpu_count,
    cpu_count::decimal(18, 6) as cpu_count,
    try_cast(round(memory_count) * 0.000001 as decimal(18, 6)) as memory_gb,
    try_cast(nullif(round(disk_count), 0) * 0.000001 as decimal(18, 6)) as disk_gb,
    instance_type as sku, instance_id as resource_id, {state} as state,
    known_from as started_at, known_until as ended_at, file_row
from slurm_nodes
left join slurm_gpus using (gpus)
where fault is null and time_told = 1
"""
_INVENTORY = _ROWS.format(state="'up'")
_DATED = _ROWS.format(state="coalesce(use, 'up')")
_UNUSABLE = """
select
    cluster, pool, node_name, null, null, null, null, null, null, instance_id, use, unusable_from, null, file_row
from slurm_nodes
where fault is null and time_told = 1 and use <> 'up' and unusable_from is not null
"""
