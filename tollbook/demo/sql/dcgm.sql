-- Every GPU's samples of the day: busy to the degree that it was held in the hour, give or take.
with held_hours as (
    select
        node,
        first_gpu + gpu as gpu,
        hour,
        least(1, sum(share * greatest(
            least(until_second, (getvariable('day') * 24 + hour + 1) * 3600)
            - greatest(from_second, (getvariable('day') * 24 + hour) * 3600), 0
        )) / 3600)::float as held
    from held_days, unnest(range(gpu_count)) as held_gpus (gpu), unnest(range(24)) as hours (hour)
    where day = getvariable('day')
    group by all
),

gpu_hours as (
    select
        row_number() over (order by nodes.pool, nodes.number, gpu, hour) as gpu_hour,
        nodes.node,
        'GPU-' || nodes.node || '-' || gpu as gpu_id,
        hour,
        coalesce(held_hours.held, 0) as held
    from nodes
    cross join unnest(range(8)) as listed (gpu)
    cross join unnest(range(24)) as hours (hour)
    left join held_hours using (node, gpu, hour)
    order by gpu_hour
),

samples as (
    select
        *,
        unnest(range(3600 // getvariable('sample_seconds'))) as sample
    from gpu_hours
),

read as (
    select
        moment((getvariable('day') * 24 + hour) * 3600 + sample * getvariable('sample_seconds')) as sampled_at,
        node,
        gpu_id,
        -- in hundredths, as the exporter rounds
        round(held * (50 + (draw('sample', gpu_hour, sample) % 50)::float)) as percent
    from samples
)

select
    sampled_at,
    node,
    gpu_id,
    (percent / 100)::float as sm_ratio,
    (percent / 125)::float as memory_ratio,
    (80 + 6 * percent)::float as power_watts
from read
