-- One row: time or cost of a layer below zero. A credit can make a whole node-hour negative, and its layers with it; one
-- layer alone may not be.
with suspects as (
    select distinct hour_start_at, cluster, pool, node
    from engineering.fct_gpu_hours
    where allocated_cost < 0
),

layers as (
    select hours.hour_start_at, hours.cluster, hours.pool, hours.node, hours.layer, sum(hours.allocated_cost) as cost
    from engineering.fct_gpu_hours as hours
    inner join suspects
        on hours.hour_start_at = suspects.hour_start_at and hours.cluster is not distinct from suspects.cluster
        and hours.pool is not distinct from suspects.pool and hours.node is not distinct from suspects.node
    group by hours.hour_start_at, hours.cluster, hours.pool, hours.node, hours.layer
),

node_hours as (
    select hour_start_at
    from layers
    group by hour_start_at, cluster, pool, node
    having min(cost) < 0 and sum(cost) >= 0
),

hours as (
    select
        count(*) as row_count,
        count(*) filter (where is_negative) as negative_hours,
        min(hour_start_at) filter (where is_negative) as first_at
    from (
        select *, least(gpu_hours, cpu_hours, memory_gb_hours) < 0 as is_negative
        from engineering.fct_gpu_hours
    )
)

select
    hours.row_count,
    hours.negative_hours,
    (select count(*) from node_hours) as negative_costs,
    least(hours.first_at, (select min(hour_start_at) from node_hours)) as first_at
from hours
