-- The fleet and who really held it, drawn from the seed: teams, nodes, lanes and holdings. Everything else is read off this.
-- Variables: seed, start (date), days, teams (names), nodes (map of pool to count), holdings_per_day, prices.
-- Times are whole seconds since `start`; prices are whole millionths of a USD per GPU-second, so that every share is exact.

create macro draw(what, a, b) as hash(hash(getvariable('seed'), what, a, b));

create macro moment(seconds) as getvariable('start')::timestamp + to_seconds(seconds);

-- the smaller of two draws: some teams are much larger than others
create macro some_team(drawn) as getvariable('teams')[
    (1 + least(drawn % len(getvariable('teams')), (drawn >> 24) % len(getvariable('teams'))))::bigint
];

create table pools as
select
    pool, cluster, gpu_model, price::bigint as price, is_own, prefix,
    getvariable('nodes')[pool]::bigint as node_count
from (values
    ('h100', 'k8s-main', 'H100', 1000, false, 'gpu-'),
    ('a10', 'k8s-main', 'A10', 300, false, 'a10-'),
    ('a100', 'k8s-main', 'A100', 500, true, 'rack-'),
    ('l40s', 'research', 'L40S', 200, true, 'slurm-n')
) as listed (pool, cluster, gpu_model, price, is_own, prefix);

create table nodes as
select
    pools.* exclude (prefix, node_count),
    number,
    prefix || lpad((number + 1)::varchar, 4, '0') as node,
    -- the bill calls a cloud node by another name than the scheduler
    case when is_own then node else 'vm-' || node end as resource_id,
    -- every fifth own node of the cluster is in maintenance for the first four hours of each day
    case when pool = 'a100' and number % 5 = 0 then 14400 else 0 end as down_seconds
from pools, unnest(range(node_count)) as numbered (number)
order by pool, number;

-- Who can hold what of a node: GPUs from `first_gpu` on, a share of each. GPUs in no row stay idle.
-- kind: pod, server (a pod that serves a model), job (Slurm). `on_next_node`: as many on the node that follows.
create table layouts as
from (values
    ('h100', 3, 0, 0, 2, 1.00, 1, 'server', 'falcon-7b', false),
    ('h100', 3, 0, 2, 4, 1.00, 1, 'pod', null, false),
    ('h100', 3, 0, 6, 1, 1.00, 1, 'pod', null, false),
    ('h100', 3, 1, 0, 4, 1.00, 1, 'server', 'heron-32b', false),
    ('h100', 3, 1, 4, 2, 1.00, 1, 'pod', null, false),
    ('h100', 3, 1, 6, 1, 1.00, 1, 'pod', null, false),
    ('h100', 3, 1, 7, 1, 1.00, 1, 'pod', null, false),
    ('h100', 3, 2, 0, 8, 1.00, 1, 'pod', null, false),
    ('a10', 1, 0, 0, 1, 0.25, 4, 'pod', null, false),
    ('a10', 1, 0, 1, 2, 0.50, 2, 'pod', null, false),
    ('a10', 1, 0, 3, 1, 1.00, 1, 'pod', null, false),
    ('a10', 1, 0, 4, 1, 1.00, 1, 'pod', null, false),
    ('a10', 1, 0, 5, 2, 1.00, 1, 'pod', null, false),
    ('a100', 1, 0, 0, 4, 1.00, 1, 'pod', null, false),
    ('a100', 1, 0, 4, 2, 1.00, 1, 'pod', null, false),
    ('a100', 1, 0, 6, 1, 1.00, 1, 'pod', null, false),
    ('l40s', 2, 0, 0, 4, 1.00, 1, 'job', null, true),
    ('l40s', 1, 0, 4, 2, 1.00, 1, 'job', null, false),
    ('l40s', 1, 0, 6, 1, 1.00, 1, 'job', null, false),
    ('l40s', 1, 0, 0, 0, 1.00, 1, 'job', null, false)
) as listed (pool, every, variant, first_gpu, gpu_count, share, lane_count, kind, model, on_next_node);

-- A lane is one place that holdings take one after the other; each lane has a fixed number of starts a day.
create table lanes as
with placed as (
    select
        row_number() over (order by nodes.pool, nodes.number, layouts.first_gpu, layouts.gpu_count desc, lane_of_layout) as lane,
        nodes.*,
        following.node as second_node,
        layouts.first_gpu,
        layouts.gpu_count,
        layouts.share::decimal(3, 2) as share,
        layouts.kind,
        layouts.model
    from nodes
    inner join layouts on nodes.pool = layouts.pool and nodes.number % layouts.every = layouts.variant
    cross join unnest(range(layouts.lane_count)) as repeated (lane_of_layout)
    left join nodes as following
        on layouts.on_next_node and nodes.pool = following.pool and nodes.number + 1 = following.number
),

-- one start in fifty is of a pod that waits in vain; a server is restarted once a day, the rest falls to the other lanes
counted as (
    select
        *,
        getvariable('holdings_per_day') - getvariable('holdings_per_day') // 50
        - count(*) filter (where kind = 'server') over () as to_share_out,
        count(*) filter (where kind <> 'server') over () as sharing,
        row_number() over (partition by kind = 'server' order by lane) - 1 as place
    from placed
)

select
    * exclude (to_share_out, sharing, place),
    case when kind = 'server' then 1 else to_share_out // sharing + (place < to_share_out % sharing)::bigint end as starts_per_day
from counted
order by lane;

-- Who really held what: one row per attempt. `team` is NULL where nobody can be found out to own it.
create table holdings as
with starts as (
    select
        lanes.*,
        day,
        start_number,
        (86400 - down_seconds) // starts_per_day as spacing,
        -- now and then the first of two attempts fails, and both are one job
        start_number - case
            when start_number % 2 = 1 and draw('again', lane, day * 1000 + start_number) % 20 = 0 then 1 else 0
        end as job_number,
        draw('start', lane, day * 1000 + start_number) as start_draw,
        draw('length', lane, day * 1000 + start_number) as length_draw,
        draw('labels', lane, day * 1000 + job_number) as label_draw,
        draw('holder', lane, day * 1000 + job_number) as team_draw
    from lanes, unnest(range(getvariable('days'))) as calendar (day), unnest(range(starts_per_day)) as started (start_number)
),

timed as (
    select
        *,
        case
            when kind = 'server' and day = 0 then 0
            else day * 86400 + down_seconds + start_number * spacing + (start_draw % (spacing // 2))::bigint
        end as starts_at
    from starts
),

followed as (
    select
        *,
        coalesce(lead(starts_at) over (partition by lane order by starts_at), getvariable('days') * 86400) as next_starts_at,
        lead(job_number) over (partition by lane, day order by starts_at) = start_number as is_retried
    from timed
),

ended as (
    select
        *,
        starts_at + case
            when kind = 'server' or length_draw % 4 = 0 then latest_end - starts_at
            else (latest_end - starts_at) * (30 + (length_draw >> 8) % 65)::bigint // 100
        end as ends_at
    from (
        select *, case when down_seconds > 0 then least(next_starts_at, (day + 1) * 86400) else next_starts_at end as latest_end
        from followed
    )
)

select
    lane, pool, cluster, node, second_node, number, price, first_gpu, gpu_count, share, kind, model, day, start_number,
    starts_at, ends_at,
    ends_at = getvariable('days') * 86400 as is_running,
    start_number - job_number + 1 as attempt,
    coalesce(is_retried and start_number = job_number, false) as has_failed,
    -- one number per job, whatever its attempts
    lane * 1000000 + day * 1000 + job_number as job,
    label_draw,
    case
        when kind = 'server' then 'platform'
        when team_draw % 33 <> 0 then some_team(team_draw >> 8)
    end as team
from ended
order by lane, day, start_number;

-- The same by day and node, as seconds since `start`: a holding over midnight, or on two nodes, has several rows.
create table held_days as
with on_nodes as (
    select
        * exclude (node, second_node, day),
        unnest(case when second_node is null then [node] else [node, second_node] end) as node
    from holdings
),

on_days as (
    select
        *,
        unnest(range(starts_at // 86400, (ends_at - 1) // 86400 + 1)) as day
    from on_nodes
)

select
    *,
    greatest(starts_at, day * 86400) as from_second,
    least(ends_at, (day + 1) * 86400) as until_second
from on_days;

-- USD per million tokens, in the vendor's bill and in the price book.
create table prices as
select model, token_kind, price_per_million::decimal(9, 2) as price_per_million
from (select unnest(getvariable('prices'), recursive := true));

-- Tokens by hour, model, team that was named and customer; filled day by day.
create table token_hours (
    day bigint, hour bigint, model varchar, provider varchar, team varchar, customer varchar, request_count bigint, success_count bigint,
    fresh_tokens bigint, cached_tokens bigint, output_tokens bigint
);

-- Who pays for the lines that are of no node and no model; filled day by day.
create table direct_costs (day bigint, team varchar, cost decimal(38, 12));
