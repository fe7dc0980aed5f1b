"""Read Slurm's ``sacct`` (text with any ``--delimiter``, CSV, Parquet, or ``--json``) as ``holdings``: one row per attempt and node.

Jobs hold the resources; their steps (``123.batch``) are set aside. A requeued job (``--duplicates``) has one attempt
per start: ``holding_id`` is ``<JobIDRaw>@<start in seconds since 1970>``, or ``<JobIDRaw>`` for what never started. Of
two records with one job and start, the later in the file counts. ``attempt`` is Restarts + 1, or without that field the
place in order of start.

CPUs are AllocCPUS, NCPUS or AllocTRES ``cpu=``; memory is AllocTRES ``mem=``, else ReqMem, in GB of 1024 MB, as Slurm
counts; GPUs are AllocTRES ``gres/gpu``, else AllocGRES. Only in a file with neither column they are what was asked for:
ReqTRES, else ReqGRES times nodes. ``gres/gpu=4,gres/gpu:a100=4`` are four. Slurm counts a MIG slice as a GPU: here a type
such as ``a100_3g.20gb`` is ``gpu_profile`` 3g.20gb, the slices ``gpu_count``, and what is held of several profiles has one
row (and holding, ``<holding_id>+<profile>``) each, CPUs and memory on the first. ``gres/shard`` and ``gres/mps`` are shares
of GPUs by the options ``shards_per_gpu`` and ``mps_per_gpu``.

What each node gave: the batch step's own record tells it for the first node; the rest is spread evenly, whole CPUs and GPUs
and millionths of a GB, the remainder over the first nodes: nodes add up to the job. What never started holds nothing; its row
has what it asked for. Times are local to the cluster and become UTC; in an hour that comes twice, Elapsed decides; JSON has UTC.
Sources: sacct(1), "Trackable RESources (TRES)", "Generic Resource (GRES) Scheduling".
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import slurm_files, slurm_json, slurm_terms
from tollbook.sources.slurm_terms import HOST, MOST_NODES
from tollbook.sources.typing import text
from tollbook.workspace import Source

# the order in which XDMoD's shredder asks for the fields, without a header
_XDMOD = (
    "JobID", "JobIDRaw", "Cluster", "Partition", "QOS", "Account", "Group", "GID", "User", "UID", "Submit", "Eligible",
    "Start", "End", "Elapsed", "ExitCode", "State", "NNodes", "NCPUS", "ReqCPUS", "ReqMem", "ReqTRES", "AllocTRES",
    "Timelimit", "NodeList", "JobName",
)  # fmt: skip
_FIELDS = {
    "jobid": ("job_id",), "jobidraw": (), "cluster": ("clustername",), "partition": (), "qos": (), "account": (), "group": (),
    "user": (), "submit": ("submittime",), "start": ("starttime",), "end": ("endtime",), "elapsed": (), "elapsedraw": (),
    "state": ("jobstate",), "nnodes": ("allocnodes",), "ncpus": (), "alloccpus": (), "reqcpus": (), "reqmem": (), "reqtres": (),
    "alloctres": (), "reqgres": (), "allocgres": (), "nodelist": (), "jobname": (), "restarts": (), "wckey": (), "comment": (),
    "admincomment": (), "extra": (), "reservation": (),
}  # fmt: skip
_MAY_BE_UNKNOWN = ("submit", "start", "end", "elapsed", "elapsedraw", "nodelist")
_NEEDED = ("JobID or JobIDRaw", "Start", "End or Elapsed or ElapsedRaw")
_ADVICE = (
    "Run sacct with --parsable2 and its header, or name the fields in `columns` of the source in tollbook.yml"
    " (without them, 26 fields are taken to be XDMoD's)."
)


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one file of sacct on ``db``; return the SELECT of canonical ``holdings`` columns plus ``file_row``.

    Of the source count ``cluster`` (where the file names none), ``timezone`` (IANA name of sacct's clock), ``columns`` (the
    field names of text without a header; without them 26 fields are taken in XDMoD's order), and the options
    ``shards_per_gpu`` (no default) and ``mps_per_gpu`` (100).
    ``file_row`` is the record's number, the header not counted. The temp table ``unread`` (file_row, column_name,
    value, reason) has each refused record once; ``skipped`` (file_row, reason) has steps and repeated headers.

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, unreadable, or nothing of sacct with a job's id, start and end.
    """
    source.refuse_other_options("shards_per_gpu", "mps_per_gpu")
    shards, mps = _number(source, "shards_per_gpu", None), _number(source, "mps_per_gpu", 100)
    zone = slurm_terms.zone_of(db, source)
    slurm_terms.define(db)
    present = _open(db, file, source)
    for needed in _NEEDED:
        if set(needed.lower().split(" or ")).isdisjoint(present):
            raise DeliveryError(f"{file.name} has no field {needed}. Add it to the --format of sacct.")
    db.execute(_records(present, zone, source.cluster, shards, mps))
    db.execute(slurm_terms.hosts("sacct_records", "nodelist"))
    db.execute(slurm_terms.gpus("select gpus from sacct_records"))
    for statement in (_JOBS, _BATCHES, _STEPS, _REJECTED):
        db.execute(statement)
    db.execute("drop table slurm_fields; drop table sacct_records")
    return _SELECT


def _number(source: Source, name: str, default: int | None) -> int | None:
    value = source.option(name, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{source.name}: option {name} is {value!r}; it must be how many make one GPU: a whole number from 1.")
    return value


def _open(db: duckdb.DuckDBPyConnection, file: Path, source: Source) -> set[str]:
    if slurm_files.is_json(file) and slurm_json.open_answer(db, file, ("jobs",), "job_id"):
        return slurm_json.make_fields(db, _FIELDS, slurm_json.JOBS, slurm_json.batch_steps(_FIELDS))
    return slurm_files.open_fields(db, file, _FIELDS, ("jobid", "jobidraw"), _ADVICE, columns=source.columns or _XDMOD)


def _records(present: set[str], zone: str, cluster: str | None, shards: int | None, mps: int) -> str:
    """The statement that makes ``sacct_records``: one row per job and step, its times and amounts chosen."""
    columns = {"alloctres", "allocgres", "reqtres", "reqgres"}
    none = "null" if columns.isdisjoint(present) else "''"
    gpus = "coalesce(case when regexp_matches({}, '(^|,)gres/(gpu|shard|mps)[:=]') then {} else {} end, {})"
    asked = gpus.format("reqtres", "reqtres", "reqgres", none)
    # the number by which old versions call gpu
    held = gpus.format("alloctres", "alloctres", "replace(allocgres, '7696487', 'gpu')", none)
    counts_asked = {"alloctres", "allocgres"}.isdisjoint(present)
    known = ", ".join(f'slurm_known("{name}") as "{name}"' for name in _MAY_BE_UNKNOWN)
    return _RECORDS.format(
        known=known,
        zone=zone,
        cluster="null" if cluster is None else text(str(cluster)),
        has_end="end" in present,
        asked=asked,
        held=asked if counts_asked else held,
        counts_asked=counts_asked,
        shards=shards or "null",
        mps=mps,
    )


_RECORDS = """
create or replace temp table sacct_records as
with known as (
    select * replace ({known}) from slurm_fields
),

timed as (
    select
        *,
        coalesce(elapsedraw, elapsed) as spent,
        upper(regexp_extract(state, '^[A-Za-z_]+')) as word,
        slurm_utc(submit, {zone}) as submitted_at,
        slurm_utc("start", {zone}) as clock_start,
        slurm_utc("end", {zone}) as clock_end,
        to_microseconds((slurm_seconds(spent) * 1000000)::bigint) as lasted
    from known
)

select
    file_row, submit, "start", "end", nnodes, nodelist, restarts, jobname, "partition", account, "user", "group", qos,
    wckey, comment, admincomment, extra, reservation, state, word, spent, lasted, submitted_at, clock_start, clock_end,
    coalesce(cluster, {cluster}) as cluster_name,
    coalesce(jobid, jobidraw) as job_id,
    coalesce(jobidraw, jobid) as raw_id,
    coalesce(contains(job_id, '.'), false) as is_step,
    "start" is null or word is not distinct from 'PENDING'
        -- some versions give what was cancelled in the queue the time of that as its start
        or coalesce(word = 'CANCELLED' and nodelist is null and clock_start = clock_end, false) as is_unstarted,
    coalesce(word in (
        'RUNNING', 'SUSPENDED', 'COMPLETING', 'CONFIGURING', 'RESIZING', 'STAGE_OUT', 'STOPPED', 'SIGNALING'
    ), {has_end}) or coalesce(contains(upper(state), 'COMPLETING'), false) as is_open,
    if(is_unstarted, null, slurm_start(clock_start, clock_end, lasted, {zone})) as started_at,
    case
        when "end" is null and not is_open then started_at + lasted
        else slurm_end(started_at, clock_end, lasted, {zone})
    end as ended_at,
    case
        when is_unstarted then coalesce(reqcpus, alloccpus, ncpus, slurm_tres(reqtres, 'cpu'))
        else coalesce(alloccpus, ncpus, slurm_tres(alloctres, 'cpu'))
    end as cpus,
    coalesce(slurm_tres(case when is_unstarted then reqtres else alloctres end, 'mem'), reqmem) as memory,
    case when is_unstarted then {asked} else {held} end as gpus,
    {shards}::integer as shards_per_gpu, {mps} as mps_per_gpu,
    (is_unstarted or {counts_asked}) and gpus = reqgres as is_per_node  -- ReqTRES is of the job, ReqGRES of a node
from timed
"""

_JOBS = rf"""
create or replace temp table sacct_jobs as
with judged as (
    select
        * exclude (kinds),
        slurm_count(nnodes, {MOST_NODES}) as node_count,
        slurm_count(cpus, 100000000) as cpu_count,
        coalesce(kinds, [{{'sharing': null, 'profile': null, 'model': null, 'amount': if(gpus is null, null, 0)}}]) as kinds,
        case kinds[1].sharing when 'time_slicing' then shards_per_gpu when 'mps' then mps_per_gpu end as per_gpu,
        case
            when is_unstarted or nodelist is null then [null]
            when regexp_matches(nodelist, '[\[,]') then nodes
            when regexp_full_match(nodelist, '{HOST}') then [nodelist]
        end as held_nodes,
        case
            when coalesce(job_id[1], '') not between '0' and '9' then ['JobID', job_id, 'is not the id of a job']
            when not is_unstarted and clock_start is null then ['Start', "start", 'is not a time']
            when "end" is not null and clock_end is null then ['End', "end", 'is not a time']
            when submit is not null and submitted_at is null then ['Submit', submit, 'is not a time']
            when spent like '-%' then ['Elapsed', spent, 'is negative']
            when spent is not null and lasted is null then ['Elapsed', spent, 'is not a duration']
            when ended_at < started_at then ['End', "end", 'ends before it starts']
            when not is_unstarted and ended_at is null and not is_open
                then ['End', "end", 'is not known, and Elapsed neither, though the job is over']
            when nnodes is not null and node_count is null then ['NNodes', nnodes, 'is not a count of nodes']
            when cpus is not null and cpu_count is null then ['NCPUS', cpus, 'is not a count of CPUs']
            when is_unread then ['AllocTRES', gpus, 'counts GPUs in a way that is not known']
            when kinds[1].sharing is not null and per_gpu is null and kinds[1].sharing <> 'mig'
                then ['AllocTRES', gpus, 'holds shards, but option shards_per_gpu of the source does not say how many make a GPU']
            when held_nodes is null then ['NodeList', nodelist, 'is not a list of nodes']
        end as fault
    from sacct_records
    left join slurm_hosts on sacct_records.nodelist = slurm_hosts.list
    left join slurm_gpus using (gpus)
    where not is_step
)

select
    file_row, fault, cluster_name, job_id, raw_id, submitted_at, started_at, ended_at, state,
    jobname, "partition", account, "user", qos, held_nodes, cpu_count, kinds, per_gpu,
    raw_id || coalesce('@' || epoch(started_at)::bigint, '') as holding_id,
    max(file_row) over (partition by fault is null, cluster_name, job_id, started_at) as latest_row,
    coalesce(slurm_count(restarts, 1000000) + 1, dense_rank() over (
        partition by fault is null, cluster_name, job_id order by started_at nulls last
    ))::integer as attempt,
    if(is_per_node, coalesce(node_count, len(held_nodes)), 1) as times,
    try_cast(round(slurm_memory(rtrim(memory, 'nc'))
        * case memory[-1] when 'n' then coalesce(node_count, len(held_nodes)) when 'c' then cpu_count else 1 end
    ) as bigint) as memory_count,
    case
        when word = 'COMPLETED' then 'succeeded'
        when word in ('FAILED', 'NODE_FAIL', 'OUT_OF_MEMORY', 'BOOT_FAIL', 'DEADLINE', 'LAUNCH_FAILED') then 'failed'
        when word = 'TIMEOUT' then 'timed_out'
        when word in ('CANCELLED', 'REVOKED') then 'cancelled'
        when word in ('PREEMPTED', 'REQUEUED', 'REQUEUE_HOLD', 'SPECIAL_EXIT') then 'preempted'
        when word = 'PENDING' then 'pending'
        when word is not null and is_open then 'running'
    end as outcome,
    '{{' || concat_ws(',', '"qos":' || to_json(qos), '"group":' || to_json("group"), '"wckey":' || to_json(wckey), '"comment":' || to_json(comment),
        '"admincomment":' || to_json(admincomment), '"extra":' || to_json(extra), '"reservation":' || to_json(reservation),
        '"gpu_types":' || to_json(gpu_types)) || '}}' as labels
from judged
"""

# a batch step belongs to the attempt that started last before it
_BATCHES = """
create or replace temp table sacct_batches as
select
    jobs.file_row,
    batches.nodelist as node,
    batches.cpu_count,
    batches.memory_count,
    coalesce(batches.kinds, []) as kinds
from (
    select
        *,
        coalesce(cluster_name, '') as cluster_key,
        slurm_count(cpus, 100000000) as cpu_count,
        try_cast(round(slurm_memory(rtrim(memory, 'nc'))) as bigint) as memory_count,
        string_split(job_id, '.')[1] as step_of
    from sacct_records
    left join slurm_gpus using (gpus)
    where is_step and job_id like '%.batch' and nodelist is not null and clock_start is not null
) as batches
asof join (
    select *, coalesce(cluster_name, '') as cluster_key from sacct_jobs where fault is null and file_row = latest_row and started_at is not null
) as jobs
    on batches.step_of = jobs.job_id and batches.cluster_key = jobs.cluster_key and batches.clock_start >= jobs.started_at
where len(jobs.held_nodes) > 1
    and list_contains(jobs.held_nodes, batches.nodelist)
    and coalesce(batches.cpu_count <= jobs.cpu_count, false)
    and coalesce(batches.memory_count <= jobs.memory_count, true)
    -- a step that says nothing of GPUs though the job has some does not tell how they are spread
    and (batches.kinds is not null or list_sum(list_transform(jobs.kinds, lambda kind: coalesce(kind.amount, 0))) = 0)
qualify row_number() over (partition by jobs.file_row order by batches.file_row desc) = 1
"""

_STEPS = """
create or replace temp table sacct_steps as
select file_row, job_id, (coalesce(cluster_name, ''), split_part(job_id, '.', 1)) in (
    select (coalesce(cluster_name, ''), job_id) from sacct_records where not is_step and job_id is not null
) as has_job
from sacct_records
where is_step;

insert into skipped
select file_row, 'a step of a job in the file' as reason from sacct_steps where has_job
"""

_REJECTED = """
insert into unread
select file_row, fault[1] as column_name, fault[2] as value, fault[3] as reason
from sacct_jobs
where fault is not null
union all
select file_row, 'JobID', job_id, 'is superseded by row ' || latest_row || ', a later record of the same job and start'
from sacct_jobs
where fault is null and file_row < latest_row
union all
select file_row, 'JobID', job_id, 'is a step whose job is not in the file; the job''s own record tells what was held'
from sacct_steps
where not has_job
"""

# `here` is what the batch step tells of its node; `left_over` nodes share the rest
_SELECT = """
with placed as (
    select *, unnest(range(1, len(held_nodes) + 1)) as place
    from (
        select
            sacct_jobs.*,
            sacct_batches.node as batch_node,
            sacct_batches.cpu_count as batch_cpu_count,
            sacct_batches.memory_count as batch_memory_count,
            sacct_batches.kinds as batch_kinds
        from sacct_jobs
        left join sacct_batches using (file_row)
        where fault is null and file_row = latest_row
    )
),

spread as (
    select
        *,
        held_nodes[place] as node,
        coalesce(node = batch_node, false) as is_batch_node,
        place - (batch_node is not null and place > list_position(held_nodes, batch_node))::int as rest_place,
        len(held_nodes) - (batch_node is not null)::int as rest_nodes,
        unnest(kinds) as kind,
        generate_subscripts(kinds, 1) as kind_place
    from placed
),

counted as (
    select
        *,
        coalesce(list_filter(batch_kinds, lambda one: one.profile is not distinct from kind.profile)[1].amount, 0) as batch_amount,
        kind.amount * times as amount
    from spread
),

shared as (
    select
        *,
        case
            when is_batch_node then batch_amount
            else slurm_share(amount - if(batch_node is null, 0, batch_amount), rest_nodes, rest_place)
        end as held
    from counted
)

select
    holding_id || if(kind_place > 1, '+' || kind.profile, '') as holding_id,
    job_id, attempt, 'slurm_job' as holder_kind, jobname as name, cluster_name as cluster,
    "partition" as pool, node,
    if(per_gpu is null, held, ceil(held / per_gpu))::decimal(18, 6) as gpu_count,
    if(per_gpu is null or held = 0, null, round(held / (per_gpu * ceil(held / per_gpu)), 6))::decimal(18, 6) as gpu_share,
    kind.model as gpu_model,
    kind.profile as gpu_profile,
    if(held > 0, kind.sharing, null) as gpu_sharing,
    case
        when kind_place > 1 then 0
        when is_batch_node then batch_cpu_count
        else slurm_share(cpu_count - if(batch_node is null, 0, batch_cpu_count), rest_nodes, rest_place)
    end::decimal(18, 6) as cpu_count,
    try_cast(case
        when kind_place > 1 then 0
        when is_batch_node then coalesce(batch_memory_count, slurm_share(memory_count, len(held_nodes), place))
        when batch_memory_count is null then slurm_share(memory_count, len(held_nodes), place)
        else slurm_share(memory_count - batch_memory_count, rest_nodes, rest_place)
    end * 0.000001 as decimal(18, 6)) as memory_gb,
    submitted_at, started_at, ended_at, state, outcome, account, "user" as user_name, qos as priority, labels,
    file_row
from shared
"""
