-- What existed on the day: a row per GPU of the nodes whose pods name their GPUs, a row per node elsewhere.
select
    cluster,
    pool,
    node,
    case when pool = 'h100' then 'GPU-' || node || '-' || gpu end as gpu_id,
    gpu_model,
    (case when pool = 'h100' then 1 else 8 end)::decimal(18, 6) as gpu_count,
    (case when pool = 'h100' then 24 else 192 end)::decimal(18, 6) as cpu_count,
    'gpu8-' || pool as sku,
    case when is_own then 'dc-1' else 'north-1' end as region,
    state,
    resource_id,
    moment(getvariable('day') * 86400 + from_second) as started_at,
    moment(getvariable('day') * 86400 + until_second) as ended_at
from nodes
cross join unnest(range(case when pool = 'h100' then 8 else 1 end)) as listed (gpu)
cross join lateral (
    select 'maintenance' as state, 0 as from_second, down_seconds as until_second
    where down_seconds > 0
    union all
    select 'up', down_seconds, 86400
)
order by pool, number, gpu, from_second
