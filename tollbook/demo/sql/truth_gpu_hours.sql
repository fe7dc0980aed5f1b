-- What every pool's GPUs were, by day: held, idle or down, in exact seconds and in hours.
with existing as (
    select
        day,
        pool,
        price,
        count(*) * 8 * 86400 as gpu_seconds,
        sum(down_seconds) * 8 as down_seconds
    from nodes, unnest(range(getvariable('days'))) as calendar (day)
    group by all
),

held as (
    select day, pool, sum((until_second - from_second) * gpu_count * share) as held_seconds
    from held_days
    group by all
),

layers as (
    select day, pool, price, 'held' as layer, held_seconds as gpu_seconds from existing inner join held using (day, pool)
    union all
    select day, pool, price, 'down' as layer, down_seconds from existing where down_seconds > 0
    union all
    select day, pool, price, 'idle' as layer, gpu_seconds - down_seconds - held_seconds
    from existing inner join held using (day, pool)
)

select
    getvariable('start') + day::integer as usage_date,
    pool,
    layer,
    gpu_seconds::decimal(24, 2) as gpu_seconds,
    gpu_seconds / 3600 as gpu_hours,
    (gpu_seconds::decimal(24, 2) * price::decimal(9, 0) * 0.000001)::decimal(38, 12) as cost
from layers
order by usage_date, pool, layer
