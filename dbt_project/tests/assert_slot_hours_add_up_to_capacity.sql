-- A GPU slot-hour whose layers are not what existed: time appeared or was lost. Held time beyond capacity is scaled to it.
select
    slots.hour_start_at,
    slots.cluster,
    slots.pool,
    slots.node,
    slots.gpu_id,
    slots.existed,
    layers.accounted
from (
    select hour_start_at, slot_level, cluster, pool, slot_node as node, slot_gpu_id as gpu_id,
        sum(gpu_up_microseconds + gpu_down_microseconds) as existed
    from {{ ref('int_slots') }}
    where basis = 'gpu' and {{ in_build_days('usage_date') }}
    group by all
) as slots
inner join (
    select hour_start_at, slot_level, cluster, pool, node, gpu_id, sum(microseconds * share_ratio) as accounted
    from {{ ref('int_slot_hours__layers') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as layers
    on slots.hour_start_at = layers.hour_start_at and slots.slot_level = layers.slot_level and slots.cluster = layers.cluster
    and slots.pool = layers.pool and slots.node is not distinct from layers.node
    and slots.gpu_id is not distinct from layers.gpu_id
where abs(slots.existed - layers.accounted) > 1
