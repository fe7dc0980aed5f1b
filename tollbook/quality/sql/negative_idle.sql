-- One row: idle time or cost below zero. A credit can make a whole node-hour negative, and its idle part with it; idle
-- alone may not be.
with suspects as (
    select distinct hour_start_at, cluster, pool, node
    from engineering.fct_gpu_hours
    where layer = 'idle' and allocated_cost < 0
),

node_hours as (
    select hours.hour_start_at
    from engineering.fct_gpu_hours as hours
    inner join suspects
        on hours.hour_start_at = suspects.hour_start_at and hours.cluster is not distinct from suspects.cluster
        and hours.pool is not distinct from suspects.pool and hours.node is not distinct from suspects.node
    group by hours.hour_start_at, hours.cluster, hours.pool, hours.node
    having sum(case when hours.layer = 'idle' then hours.allocated_cost end) < 0 and sum(hours.allocated_cost) >= 0
),

hours as (
    select
        count(*) as row_count,
        count(*) filter (where is_negative) as negative_hours,
        min(hour_start_at) filter (where is_negative) as first_at
    from (
        select *, layer = 'idle' and (coalesce(gpu_hours, 0) < 0 or coalesce(cpu_hours, 0) < 0) as is_negative
        from engineering.fct_gpu_hours
    )
)

select
    hours.row_count,
    hours.negative_hours,
    (select count(*) from node_hours) as negative_costs,
    least(hours.first_at, (select min(hour_start_at) from node_hours)) as first_at
from hours
