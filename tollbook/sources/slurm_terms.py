"""Slurm's own ways to write times, durations, counts, lists of nodes and GPUs, as DuckDB macros and statements.

Sources: the manual pages sacct(1), sinfo(1), scontrol(1), sacctmgr(1), slurm.conf(5) and gres.conf(5).
"""

from __future__ import annotations

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources.typing import text
from tollbook.workspace import Source

MOST_NODES = 65536  # Slurm's own limit; a longer list is a typing error that would fill the memory
HOST = r"(?:[^,\[\]\s]|\[[0-9]{1,9}(?:-[0-9]{1,9})?(?:,[0-9]{1,9}(?:-[0-9]{1,9})?)*\])+"
# gpu, gpu:2, gpu:a100, gpu:a100:2, gres/gpu=2, gres/gpu:a100=2, gres/gpu:a100:2; shards and MPS alike
_GPU = r"^(?:gres[/:])?(gpu|shard|mps)(?::([^:=]+))??(?:[:=]([0-9]{1,6}))?$"
# a type that an administrator or nvml gave a MIG instance: 3g.20gb, a100_3g.20gb, nvidia_a100_1c.3g.20gb, 1g_10gb, 1g.10gb+me
_MIG = r"^(?:(.*?)[_-])?(?:mig-)?((?:[0-9]+c[._])?[0-9]+g[._][0-9]+gb(?:[+][a-z.]+)?)$"


def zone_of(db: duckdb.DuckDBPyConnection, source: Source) -> str:
    """The SQL text of the source's time zone.

    Raises:
        ConfigError: the engine does not know it.
    """
    zone = source.timezone
    if db.execute("select count(*) from pg_timezone_names() where lower(name) = lower(?)", [zone]).fetchone()[0] == 0:
        raise ConfigError(f"timezone {zone!r} is unknown. Use a name such as 'Europe/Berlin' or 'UTC' in tollbook.yml.")
    return text(zone)


def define(db: duckdb.DuckDBPyConnection) -> None:
    """Create the macros ``slurm_*`` on the connection."""
    db.execute(_MACROS)


def hosts(table: str, column: str) -> str:
    """The statement that makes ``slurm_hosts`` (list, nodes) of the lists of nodes in a table; a wrong list has no row."""
    return f"""
create or replace temp table slurm_hosts as
with lists as (
    select list, regexp_extract_all(list, '{HOST}') as hosts
    from (select distinct {column} as list from {table} where regexp_matches({column}, '[\\[,]'))
    where regexp_full_match(list, '{HOST}(?:,{HOST})*')
)

select list, flatten(list_transform(hosts, lambda host: list_reduce(
    list_transform(slurm_parts(host), lambda part: slurm_names(part)),
    lambda heads, tails: flatten(list_transform(heads, lambda head: list_transform(tails, lambda tail: head || tail)))
))) as nodes
from lists
where list_sum(list_transform(hosts, lambda host:
    list_product(list_transform(slurm_parts(host), lambda part: slurm_size(part)))
)) <= {MOST_NODES}
"""


def gpus(query: str) -> str:
    """The statement that makes ``slurm_gpus`` of the distinct texts in column ``gpus`` of a query.

    Its columns: gpus; kinds, a list of (sharing, profile, model, amount): whole GPUs first, then each MIG profile, else shares;
    gpu_types, all the types where there are several; is_unread. The count without a type is the total of those with one: what
    no type tells of is whole GPUs. Shards and MPS count only where no GPU does, as they are shares of the same GPUs.
    """
    return f"""
create or replace temp table slurm_gpus as
with items as (
    select gpus, unnest(string_split(regexp_replace(gpus, '\\([^)]*\\)', '', 'g'), ',')) as item
    from (select distinct gpus from ({query}) where regexp_matches(gpus, 'gpu|shard|mps'))
),

counted as (
    select
        gpus,
        regexp_extract(item, '{_GPU}', 1) as resource,
        nullif(regexp_extract(item, '{_GPU}', 2), '') as type,
        nullif(replace(regexp_extract(lower(type), '{_MIG}', 2), '_', '.'), '') as profile,
        nullif(if(profile is null, type, regexp_extract(type, '(?i){_MIG}', 1)), '') as model,
        coalesce(nullif(regexp_extract(item, '{_GPU}', 3), ''), '1')::bigint as amount,
        not regexp_matches(item, '{_GPU}') as is_unread
    from items
    where regexp_matches(item, '^(gres[/:])?(gpu|shard|mps)([:=]|$)')
),

known as (
    select
        gpus,
        bool_or(is_unread) as is_unread,
        coalesce(max(amount) filter (resource = 'gpu' and type is null), 0) as total,
        coalesce(sum(amount) filter (resource = 'gpu' and type is not null), 0) as typed,
        coalesce(sum(amount) filter (resource = 'gpu' and type is not null and profile is null), 0) as typed_whole,
        count(distinct model) filter (resource = 'gpu' and profile is null and amount > 0) as model_count,
        any_value(model) filter (resource = 'gpu' and profile is null and amount > 0) as whole_model,
        coalesce(greatest(sum(amount) filter (resource = 'shard' and type is null), sum(amount) filter (resource = 'shard' and type is not null)), 0) as shards,
        coalesce(greatest(sum(amount) filter (resource = 'mps' and type is null), sum(amount) filter (resource = 'mps' and type is not null)), 0) as mps,
        any_value(model) filter (resource <> 'gpu') as shared_model,
        if(
            count(distinct type) filter (resource = 'gpu') > 1,
            string_agg(type || '=' || amount, ',' order by type) filter (resource = 'gpu' and type is not null),
            null
        ) as gpu_types
    from counted
    group by gpus
),

profiles as (
    select gpus, list({{'sharing': 'mig', 'profile': profile, 'model': model, 'amount': amount}} order by profile) as kinds
    from (
        select gpus, profile, if(count(distinct model) = 1, any_value(model), null) as model, sum(amount)::bigint as amount
        from counted
        where profile is not null and amount > 0
        group by gpus, profile
    )
    group by gpus
)

select
    gpus,
    is_unread,
    gpu_types,
    greatest(total, typed) - typed + typed_whole as whole,
    list_concat(
        if(
            whole > 0 or kinds is null and shards + mps = 0,
            [{{
                'sharing': null,
                'profile': null,
                'model': if(model_count = 1 and whole = typed_whole, whole_model, null),
                'amount': whole::bigint
            }}],
            []
        ),
        coalesce(kinds, []),
        if(
            whole = 0 and kinds is null and shards + mps > 0,
            [{{
                'sharing': if(shards > 0, 'time_slicing', 'mps'),
                'profile': null,
                'model': shared_model,
                'amount': if(shards > 0, shards, mps)::bigint
            }}],
            []
        )
    ) as kinds
from known
left join profiles using (gpus)
"""


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
-- a local time that a clock change repeats is the one that the time spent agrees with
create or replace temp macro slurm_start(clock_start, clock_end, lasted, zone) as case
    when clock_end - clock_start <> lasted and slurm_clock(clock_end - lasted, zone) = slurm_clock(clock_start, zone)
        then clock_end - lasted
    else clock_start
end;
create or replace temp macro slurm_end(started_at, clock_end, lasted, zone) as case
    when clock_end - started_at <> lasted and slurm_clock(started_at + lasted, zone) = slurm_clock(clock_end, zone)
        then started_at + lasted
    else clock_end
end;
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
-- millionths of a GB of 1024 MB; MB where no unit stands
create or replace temp macro slurm_memory(t) as
    slurm_number(t) * if(regexp_matches(t, '[KMGTPE]'), 1.0 / 1048576, 1) * 1000000 / 1024;
create or replace temp macro slurm_tres(tres, kind) as
    nullif(regexp_extract(tres, '(?:^|,)' || kind || '=([^,]+)', 1), '');
create or replace temp macro slurm_share(total, parts, place) as total // parts + (place <= total % parts)::int;

-- what a node in this state, as sinfo, scontrol and sacctmgr write it, can be used for
create or replace temp macro slurm_use(state) as case
    when state is null then null
    when regexp_matches(lower(state), 'maint|\$$') then 'maintenance'
    when regexp_matches(lower(state), 'powered_down|powering_down|pow_dn|[~%]$') then 'powered_down'
    when regexp_matches(lower(state), 'powering_up|power_up|pow_up|#$') then 'powering_up'
    when regexp_matches(lower(state), '^futu?r') then 'future'
    when regexp_matches(lower(state), '^down') then 'down'
    when regexp_matches(lower(state), '^err') then 'error'
    when regexp_matches(lower(state), '^unk') then 'unknown'
    when regexp_matches(lower(state), '^inval|invalid_reg') then 'inval'
    when regexp_matches(lower(state), 'reboot_issued|^boot|\^$') then 'reboot'
    when regexp_matches(lower(state), '\bfail\b') then 'fail'
    when regexp_matches(lower(state), 'drain|drng|fail|block|blckd|power_down|not_responding|no_respond|[*!]$') then 'drain'
    else 'up'
end;

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

-- JSON: a number may be {"set": true, "infinite": false, "number": 7}; 0 is no time
create or replace temp macro slurm_json_number(node) as case
    when json_type(node) = 'OBJECT'
        then if(node ->> '$.set' = 'false' or node ->> '$.infinite' = 'true', null, node ->> '$.number')
    else node ->> '$'
end;
create or replace temp macro slurm_json_time(node) as nullif(slurm_json_number(node), '0');
create or replace temp macro slurm_json_words(node, separator) as
    if(json_type(node) = 'ARRAY', array_to_string(node ->> '$[*]', separator), node ->> '$');
create or replace temp macro slurm_json_tres(node) as array_to_string(list_transform(
    list_filter(if(json_type(node) = 'ARRAY', node::json[], []), lambda part: coalesce(part ->> '$.count', '') not in ('', '-2')),
    lambda part: (part ->> '$.type') || coalesce('/' || nullif(part ->> '$.name', ''), '') || '=' || (part ->> '$.count')
        || if(part ->> '$.type' = 'mem', 'M', '')
), ',');
"""
