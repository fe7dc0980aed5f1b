-- What GPUs cost by the hour: one row per hour, team, pool and bill's source, whether anybody held them or not.
select
    usage_date,
    hour_start_at,
    team,
    cost_centre,
    cluster,
    pool,
    sum(allocated_cost) as cost,
    count(*) filter (where allocated_cost is null and slot_level <> 'none') as parts_without_cost
from {{ ref('fct_gpu_hours') }}
where {{ in_build_days('usage_date') }}
group by all
