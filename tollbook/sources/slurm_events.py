"""Read Slurm's node events (``sacctmgr show event``) as ``capacity``: one row per time in which a node could not be used.

Slurm's database keeps an event while a node is down, drained, in maintenance, failed or not yet registered; sreport computes its
Down and PLND Down from them. An event that goes on has no end. DRAIN is kept as ``drain`` (Slurm writes it once the node is
empty; sreport counts it as down), MAINT as ``maintenance`` (PLND Down); any other word as Slurm says it, in lower case.

Text with a header (``--parsable2``, ``--parsable``, any delimiter), CSV, Parquet or JSON lines of the same columns; sacctmgr has
no JSON of events. People write ``Reason``: a delimiter in it is part of it. Records without a node are of the whole cluster
(its TRES, its controller) and left out. An event told twice in a file is the later one. Times are local to the cluster and become
UTC; in an hour that comes twice, Duration decides. Source: sacctmgr(1), "Events".
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import slurm_files, slurm_terms
from tollbook.sources.typing import text
from tollbook.workspace import Source

_FIELDS = {
    "cluster": (),
    "nodename": ("node", "node_name", "nodelist"),
    "timestart": ("start", "time_start", "starttime"),
    "timeend": ("end", "time_end", "endtime"),
    "state": (),
    "reason": (),
    "duration": (),
}
_ADVICE = (
    "Run `sacctmgr show event all_time format=Cluster,NodeName,TimeStart,TimeEnd,State,Duration,Reason -P` with its header,"
    " or name the fields in `columns` of the source in tollbook.yml."
)


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one file of events on ``db``; return the SELECT of canonical ``capacity`` columns plus ``file_row``.

    Of the source count ``cluster`` (where the file names none), ``timezone`` (IANA name of sacctmgr's clock) and ``columns``
    (the field names of text without a header).

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, unreadable, or has no node, start or state.
    """
    source.refuse_other_options()
    zone = slurm_terms.zone_of(db, source)
    slurm_terms.define(db)
    present = slurm_files.open_fields(db, file, _FIELDS, ("nodename", "node"), _ADVICE, prose="reason", columns=source.columns)
    missing = [name for name in ("nodename", "timestart", "timeend", "state") if name not in present]
    if missing:
        raise DeliveryError(f"{file.name} has no field {', '.join(missing)}. {_ADVICE}")
    db.execute(_EVENTS.format(zone=zone, cluster="null" if source.cluster is None else text(source.cluster)))
    db.execute(_REFUSED)
    # records of the whole cluster are left out on purpose: a file of nothing else is no failure
    db.execute("create or replace temp view delivery as from slurm_fields")
    return _SELECT


_EVENTS = """
create or replace temp table slurm_events as
with timed as (
    select
        file_row,
        coalesce(cluster, {cluster}) as cluster,
        nodename as node,
        state,
        timestart,
        slurm_known(timeend) as timeend,
        slurm_utc(timestart, {zone}) as clock_start,
        slurm_utc(slurm_known(timeend), {zone}) as clock_end,
        to_microseconds((slurm_seconds(duration) * 1000000)::bigint) as lasted
    from slurm_fields
),

ended as (
    select *, slurm_start(clock_start, clock_end, lasted, {zone}) as started_at
    from timed
)

select
    *,
    slurm_end(started_at, clock_end, lasted, {zone}) as ended_at,
    -- an event is always of a node that cannot be used
    coalesce(nullif(slurm_use(state), 'up'), 'down') as use,
    case
        when clock_start is null then ['TimeStart', timestart]
        when timeend is not null and clock_end is null then ['TimeEnd', timeend]
    end as fault,
    max(file_row) over (partition by cluster, node, clock_start) as latest_row
from ended
where node is not null
"""

_REFUSED = """
insert into unread select file_row, fault[1], fault[2], 'is not a time' from slurm_events where fault is not null;
insert into skipped select file_row, 'is of the whole cluster' from slurm_fields where nodename is null
union all
select file_row, 'is told again in row ' || latest_row from slurm_events where fault is null and file_row < latest_row
"""

_SELECT = """
select cluster, node, use as state, started_at, ended_at, file_row
from slurm_events
where fault is null and file_row = latest_row
"""
