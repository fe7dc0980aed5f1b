"""Read Slurm's ``sacct --parsable2`` (or ``--parsable``) text as canonical ``holdings``: one row per attempt and node.

Jobs hold the resources; their steps (``123.batch``) are set aside. A requeued job (``--duplicates``) has one attempt
per start: ``holding_id`` is ``<JobIDRaw>@<start in seconds since 1970>``, or ``<JobIDRaw>`` for what never started. Of
two records with one job and start, the later in the file counts. ``attempt`` is Restarts + 1, or without that field the
place in order of start.

CPUs are AllocCPUS, NCPUS or AllocTRES ``cpu=``; memory is AllocTRES ``mem=``, else ReqMem, in GB of 1024 MB, as Slurm
counts; GPUs are AllocTRES ``gres/gpu``, else AllocGRES. Only in a file with neither column they are what was asked for:
ReqTRES, else ReqGRES times nodes. ``gres/gpu=4,gres/gpu:a100=4`` are four; a MIG slice counts as one; shards, MPS,
gpumem and gpuutil as none. sacct does not say what each node gave, so whole CPUs and GPUs, and millionths of a GB, are
spread evenly, the remainder over the first nodes: nodes add up to the job. What never started holds nothing; its row
has what it asked for. Times are local to the cluster and become UTC; in an hour that comes twice, Elapsed decides.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources.files import path_text
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

# the order in which XDMoD's shredder asks for the fields, without a header
_XDMOD = (
    "JobID", "JobIDRaw", "Cluster", "Partition", "QOS", "Account", "Group", "GID", "User", "UID", "Submit", "Eligible",
    "Start", "End", "Elapsed", "ExitCode", "State", "NNodes", "NCPUS", "ReqCPUS", "ReqMem", "ReqTRES", "AllocTRES",
    "Timelimit", "NodeList", "JobName",
)  # fmt: skip
_OTHERS = ("ElapsedRaw", "AllocCPUS", "ReqGRES", "AllocGRES", "Restarts", "WCKey", "Comment")
_MAY_BE_UNKNOWN = ("Submit", "Start", "End", "Elapsed", "ElapsedRaw", "NodeList")
_NEEDED = ("JobID or JobIDRaw", "Start", "End or Elapsed or ElapsedRaw")
_ADVICE = "Run sacct with --parsable2 and its header, or name the fields in `columns` of the source in tollbook.yml."
_MOST_NODES = 65536  # Slurm's own limit; a longer list is a typing error that would fill the memory


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one sacct text file on ``db``; return the SELECT of canonical ``holdings`` columns plus ``file_row``.

    Of the source count ``cluster`` (where the file names none), ``timezone`` (IANA name of sacct's clock),
    ``columns`` (the field names of a file without a header; without them 26 fields are taken in XDMoD's order).
    ``file_row`` is the line's number, the header not counted. The temp table ``unread`` (file_row, column_name,
    value, reason) has each refused record once; ``skipped`` (file_row, reason) has steps and repeated headers.

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, unreadable, or no sacct text with a job's id, start and end.
    """
    zone = source.timezone
    if db.execute("select count(*) from pg_timezone_names() where lower(name) = lower(?)", [zone]).fetchone()[0] == 0:
        raise ConfigError(f"timezone {zone!r} is unknown. Use a name such as 'Europe/Berlin' or 'UTC' in tollbook.yml.")
    _read_lines(db, file)
    fields, width = _layout(db, file, source.columns)
    db.execute(_MACROS)
    db.execute(_records(fields, width, text(zone), source.cluster))
    db.execute(";".join((_HOSTS, _GPUS, _JOBS, _STEPS)))
    db.execute(_REJECTED, {"width": width})
    db.execute("drop view sacct_lines; drop table sacct_text; drop table sacct_records")
    return _SELECT


def _read_lines(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``sacct_text`` (line) in the file's order; blank lines are NULL."""
    # the format knows no quotes: a delimiter that nobody writes gives whole lines
    read = (
        f"create or replace temp table sacct_text as from read_csv({path_text(file)}, columns = {{'line': 'varchar'}},"
        " delim = '\x1f\x1e', quote = '', escape = '', header = false, auto_detect = false, strict_mode = false,"
        " max_line_size = 16777216, encoding = "
    )
    try:
        try:
            db.execute(read + "'utf-8')")
        except duckdb.InvalidInputException:  # job names can be any bytes
            db.execute(read + "'latin-1')")
    except duckdb.Error as error:
        cause = str(error).strip().splitlines()[0][:300]
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {cause}") from error


def _layout(db: duckdb.DuckDBPyConnection, file: Path, columns: list[str] | None) -> tuple[dict[str, int], int]:
    """The place, from 1, of each field by its name in lower case, and the number of fields that a line must have.

    Makes the view ``sacct_lines`` (file_row, line, is_header), blank lines left out.
    """
    found = db.execute("select rowid, line from sacct_text where regexp_matches(line, '\\S') order by rowid limit 1")
    if (found := found.fetchone()) is None:
        raise DeliveryError(f"{file.name} is empty. Deliver it again; what was loaded before stays.")
    start, first = found[0], re.sub("^(\ufeff|ï»¿)", "", found[1])
    names = [name.strip().lower() for name in first.split("|")]
    has_header = not {"jobid", "jobidraw"}.isdisjoint(names)
    if has_header:
        width = len(names)
        names = names[:-1] if names[-1] == "" else names  # --parsable ends each line with a '|'
    else:  # one line does not tell how many fields there are: its job's name may have a '|'
        width = db.execute("select mode(len(string_split(line, '|'))) from sacct_text").fetchone()[0]
        if columns is None and len(_XDMOD) != width != len(_XDMOD) + 1:
            raise DeliveryError(f"{file.name} has no header with '|' and a JobID, and {width} fields a line. {_ADVICE}")
        given = columns or _XDMOD
        names = [re.sub(r"%-?\d+$", "", str(name).strip().lower()) for name in given]
        if width - len(names) not in (0, 1):
            raise DeliveryError(f"{file.name} has {width} fields a line, but {len(names)} columns are named. {_ADVICE}")
    for needed in _NEEDED:
        if set(needed.lower().split(" or ")).isdisjoint(names):
            raise DeliveryError(f"{file.name} has no field {needed}. Add it to the --format of sacct.")
    is_header = f"rowid = {start} or line = {text(first)}" if has_header else "false"
    db.execute(
        f"create or replace temp view sacct_lines as select rowid - {start - (not has_header)} as file_row, line,"
        f" {is_header} as is_header from sacct_text where regexp_matches(line, '\\S')"
    )
    return {name: place for place, name in reversed(list(enumerate(names, start=1)))}, width


def _records(fields: dict[str, int], width: int, zone: str, cluster: str | None) -> str:
    """The statement that makes ``sacct_records``: one row per job and step, its times and amounts chosen."""
    columns = ("alloctres", "allocgres", "reqtres", "reqgres")
    none = "null" if set(columns).isdisjoint(fields) else "''"
    gpus = "coalesce(case when regexp_matches({}, '(^|,)gres/gpu[:=]') then {} else {} end, {})"
    asked = gpus.format("reqtres", "reqtres", "reqgres", none)
    # the number by which old versions call gpu
    held = gpus.format("alloctres", "alloctres", "replace(allocgres, '7696487', 'gpu')", none)
    counts_asked = set(columns[:2]).isdisjoint(fields)
    named = []
    for name in _XDMOD + _OTHERS:
        value = f"nullif(trim(field[{fields[name.lower()]}]), '')" if name.lower() in fields else "null::varchar"
        named.append(f"{f'slurm_known({value})' if name in _MAY_BE_UNKNOWN else value} as {quoted(name.lower())}")
    return _RECORDS.format(
        named=", ".join(named),
        width=width,
        zone=zone,
        cluster="null" if cluster is None else text(str(cluster)),
        has_end="end" in fields,
        asked=asked,
        held=asked if counts_asked else held,
        counts_asked=counts_asked,
    )


_HOST = r"(?:[^,\[\]\s]|\[[0-9]{1,9}(?:-[0-9]{1,9})?(?:,[0-9]{1,9}(?:-[0-9]{1,9})?)*\])+"
# gpu, gpu:2, gpu:a100, gpu:a100:2, gres/gpu=2, gres/gpu:a100=2, gres/gpu:a100:2
_GPU = r"^(?:gres[/:])?gpu(?::([^:=]+))??(?:[:=]([0-9]{1,6}))?$"

_MACROS = r"""
create or replace temp macro slurm_known(t) as
    case when lower(t) not in ('unknown', 'none', 'n/a', '(null)', 'none assigned') then t end;
create or replace temp macro slurm_utc(t, zone) as case
    when length(t) = 19 and t[11] = 'T' then try_cast(t as timestamp) at time zone zone at time zone 'UTC'
    when regexp_full_match(t, '[0-9]{5,11}') then make_timestamp(t::bigint * 1000000)
    when t[1] not between '0' and '9' then null
    when regexp_matches(t[11:], '[Z+-]') then try_cast(t as timestamptz) at time zone 'UTC'
    else try_cast(t as timestamp) at time zone zone at time zone 'UTC'
end;
create or replace temp macro slurm_clock(utc, zone) as utc at time zone 'UTC' at time zone zone;
create or replace temp macro slurm_seconds(t) as case
    when regexp_full_match(t, '[0-9]{1,10}') then t::double
    when regexp_full_match(t, '(?:(?:[0-9]{1,5}-)?[0-9]{1,6}:)?[0-9]{1,6}:[0-9]{1,6}(?:\.[0-9]+)?') then
        case when contains(t, '-') then split_part(t, '-', 1)::double * 86400 else 0 end
        + coalesce(try_cast(split_part(split_part(t, '-', -1), ':', -3) as double), 0) * 3600
        + split_part(split_part(t, '-', -1), ':', -2)::double * 60 + split_part(t, ':', -1)::double
end;
create or replace temp macro slurm_number(t) as
    try_cast(regexp_extract(t, '^([0-9]+(?:\.[0-9]+)?)[KMGTPE]?$', 1) as double)
    * 1024 ** coalesce(strpos('KMGTPE', nullif(regexp_extract(t, '[KMGTPE]$'), '')), 0);
create or replace temp macro slurm_count(t, most) as
    case when slurm_number(t) <= most and slurm_number(t) % 1 = 0 then slurm_number(t)::bigint end;
create or replace temp macro slurm_tres(tres, kind) as
    nullif(regexp_extract(tres, '(?:^|,)' || kind || '=([^,]+)', 1), '');
create or replace temp macro slurm_share(total, parts, place) as total // parts + (place <= total % parts)::int;

-- a host such as 'r[1-2]n[08-10]' has four parts, one in brackets has spans; a span that runs backwards is too long
create or replace temp macro slurm_parts(host) as regexp_extract_all(host, '\[[^\]]*\]|[^\[]+');
create or replace temp macro slurm_spans(part) as string_split(trim(part, '[]'), ',');
create or replace temp macro slurm_low(span) as split_part(span, '-', 1)::bigint;
create or replace temp macro slurm_high(span) as split_part(span, '-', -1)::bigint;
create or replace temp macro slurm_size(part) as
    case when part[1] = '[' then list_sum(list_transform(slurm_spans(part), lambda span:
        case when slurm_low(span) > slurm_high(span) then 1e9 else slurm_high(span) - slurm_low(span) + 1 end
    )) else 1 end;
create or replace temp macro slurm_names(part) as
    case when part[1] = '[' then flatten(list_transform(slurm_spans(part), lambda span:
        list_transform(range(slurm_low(span), slurm_high(span) + 1), lambda number:
            lpad(number::varchar, greatest(len(split_part(span, '-', 1)), len(number::varchar))::int, '0'))
    )) else [part] end;
"""

_RECORDS = """
create or replace temp table sacct_records as
with named as (
    select file_row, {named}
    from (select file_row, string_split(line, '|') as field from sacct_lines where not is_header)
    where len(field) = {width}
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
    from named
)

select
    file_row, submit, "start", "end", nnodes, nodelist, restarts, jobname, "partition", account, "user", "group", qos,
    wckey, comment, state, word, spent, lasted, submitted_at, clock_start, clock_end,
    coalesce(cluster, {cluster}) as cluster_name,
    coalesce(jobid, jobidraw) as job_id,
    coalesce(jobidraw, jobid) as raw_id,
    coalesce(contains(job_id, '.'), false) as is_step,
    "start" is null or word is not distinct from 'PENDING' as is_unstarted,
    coalesce(word in (
        'RUNNING', 'SUSPENDED', 'COMPLETING', 'CONFIGURING', 'RESIZING', 'STAGE_OUT', 'STOPPED', 'SIGNALING'
    ), {has_end}) as is_open,
    -- a local time that a clock change repeats is the one that Elapsed agrees with
    case
        when is_unstarted then null
        when clock_end - clock_start <> lasted
            and slurm_clock(clock_end - lasted, {zone}) = slurm_clock(clock_start, {zone}) then clock_end - lasted
        else clock_start
    end as started_at,
    case
        when "end" is null and not is_open then started_at + lasted
        when clock_end - started_at <> lasted
            and slurm_clock(started_at + lasted, {zone}) = slurm_clock(clock_end, {zone}) then started_at + lasted
        else clock_end
    end as ended_at,
    case
        when is_unstarted then coalesce(reqcpus, alloccpus, ncpus, slurm_tres(reqtres, 'cpu'))
        else coalesce(alloccpus, ncpus, slurm_tres(alloctres, 'cpu'))
    end as cpus,
    coalesce(slurm_tres(case when is_unstarted then reqtres else alloctres end, 'mem'), reqmem) as memory,
    case when is_unstarted then {asked} else {held} end as gpus,
    (is_unstarted or {counts_asked}) and gpus = reqgres as is_per_node  -- ReqTRES is of the job, ReqGRES of a node
from timed
"""

_HOSTS = rf"""
create or replace temp table sacct_hosts as
with lists as (
    select nodelist, regexp_extract_all(nodelist, '{_HOST}') as hosts
    from (select distinct nodelist from sacct_records where regexp_matches(nodelist, '[\[,]'))
    where regexp_full_match(nodelist, '{_HOST}(?:,{_HOST})*')
)

select nodelist, flatten(list_transform(hosts, lambda host: list_reduce(
    list_transform(slurm_parts(host), lambda part: slurm_names(part)),
    lambda heads, tails: flatten(list_transform(heads, lambda head: list_transform(tails, lambda tail: head || tail)))
))) as nodes
from lists
where list_sum(list_transform(hosts, lambda host:
    list_product(list_transform(slurm_parts(host), lambda part: slurm_size(part)))
)) <= {_MOST_NODES}
"""

_GPUS = rf"""
create or replace temp table sacct_gpus as
with items as (
    select gpus, unnest(string_split(regexp_replace(gpus, '\([^)]*\)', '', 'g'), ',')) as item
    from (select distinct gpus from sacct_records where not is_step and contains(gpus, 'gpu'))
),

counted as (
    select
        gpus,
        regexp_extract(item, '{_GPU}', 1) as model,
        coalesce(nullif(regexp_extract(item, '{_GPU}', 2), ''), '1')::bigint as gpu_count,
        not regexp_matches(item, '{_GPU}') as is_unread
    from items
    where regexp_matches(item, '^(gres[/:])?gpu([:=]|$)')
)

-- the count without a type and the counts by type tell of the same GPUs
select
    gpus,
    greatest(sum(gpu_count) filter (model = ''), sum(gpu_count) filter (model <> ''))::bigint as type_count,
    string_agg(model || '=' || gpu_count, ',' order by model) filter (model <> '') as gpu_types,
    bool_or(is_unread) as is_unread
from counted
group by gpus
"""

_JOBS = rf"""
create or replace temp table sacct_jobs as
with judged as (
    select
        *,
        slurm_count(nnodes, {_MOST_NODES}) as node_count,
        slurm_count(cpus, 100000000) as cpu_count,
        case
            when is_unstarted or nodelist is null then [null]
            when regexp_matches(nodelist, '[\[,]') then nodes
            when regexp_full_match(nodelist, '{_HOST}') then [nodelist]
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
            when held_nodes is null then ['NodeList', nodelist, 'is not a list of nodes']
        end as fault
    from sacct_records
    left join sacct_hosts using (nodelist)
    left join sacct_gpus using (gpus)
    where not is_step
)

select
    file_row, fault, cluster_name, job_id, submitted_at, started_at, ended_at, state,
    jobname, "partition", account, "user", held_nodes, cpu_count,
    raw_id || coalesce('@' || epoch(started_at)::bigint, '') as holding_id,
    max(file_row) over (partition by fault is null, cluster_name, job_id, started_at) as latest_row,
    coalesce(slurm_count(restarts, 1000000) + 1, dense_rank() over (
        partition by fault is null, cluster_name, job_id order by started_at nulls last
    ))::integer as attempt,
    coalesce(type_count, if(gpus is not null, 0, null))
        * if(is_per_node, coalesce(node_count, len(held_nodes)), 1) as gpu_count,
    -- in millionths of a GB
    try_cast(round(
        slurm_number(rtrim(memory, 'nc')) * if(regexp_matches(memory, '[KMGTPE]'), 1.0 / 1048576, 1) * 1000000 / 1024
        * case memory[-1] when 'n' then coalesce(node_count, len(held_nodes)) when 'c' then cpu_count else 1 end
    ) as bigint) as memory_count,
    case
        when word = 'COMPLETED' then 'succeeded'
        when word in ('FAILED', 'NODE_FAIL', 'OUT_OF_MEMORY', 'BOOT_FAIL', 'DEADLINE', 'LAUNCH_FAILED') then 'failed'
        when word = 'TIMEOUT' then 'timed_out'
        when word in ('CANCELLED', 'REVOKED') then 'cancelled'
        when word in ('PREEMPTED', 'REQUEUED') then 'preempted'
        when word = 'PENDING' then 'pending'
        when word is not null and is_open then 'running'
    end as outcome,
    '{{' || concat_ws(',', '"qos":' || to_json(qos), '"group":' || to_json("group"), '"wckey":' || to_json(wckey),
        '"comment":' || to_json(comment), '"gpu_types":' || to_json(gpu_types)) || '}}' as labels
from judged
"""

_STEPS = """
create or replace temp table sacct_steps as
select file_row, job_id, (coalesce(cluster_name, ''), split_part(job_id, '.', 1)) in (
    select (coalesce(cluster_name, ''), job_id) from sacct_records where not is_step and job_id is not null
) as has_job
from sacct_records
where is_step;

create or replace temp table skipped as
select file_row, 'a step of a job in the file' as reason from sacct_steps where has_job
union all
select file_row, 'the header again' from sacct_lines where is_header and file_row > 0
"""

_REJECTED = """
create or replace temp table unread as
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
union all
select file_row, '', left(line, 500), format(
    'has {} fields where {} are expected; sacct does not escape a ''|'' or a line break in a field such as JobName',
    len(string_split(line, '|')), $width
)
from sacct_lines
where not is_header and len(string_split(line, '|')) <> $width
"""

_SELECT = """
select
    holding_id, job_id, attempt, 'slurm_job' as holder_kind, jobname as name, cluster_name as cluster,
    "partition" as pool, held_nodes[place] as node,
    slurm_share(gpu_count, len(held_nodes), place)::decimal(18, 6) as gpu_count,
    slurm_share(cpu_count, len(held_nodes), place)::decimal(18, 6) as cpu_count,
    try_cast(slurm_share(memory_count, len(held_nodes), place) * 0.000001 as decimal(18, 6)) as memory_gb,
    submitted_at, started_at, ended_at, state, outcome, account, "user" as user_name, labels,
    file_row
from (
    select *, unnest(range(1, len(held_nodes) + 1)) as place
    from sacct_jobs
    where fault is null and file_row = latest_row
)
"""
