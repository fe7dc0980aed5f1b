-- A slot-hour whose layers do not add up to exactly what it cost: money appeared or was lost.
select
    whole.hour_start_at,
    whole.cluster,
    whole.node,
    whole.gpu_id,
    whole.cost,
    coalesce(parts.cost, 0) as parts_cost
from (
    select hour_start_at, slot_level, cluster, pool, node, gpu_id, sum(cost) as cost
    from {{ ref('int_slot_hours__costed') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as whole
left join (
    select hour_start_at, slot_level, cluster, pool, node, gpu_id, sum(allocated_cost) as cost
    from {{ ref('int_slot_hours__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as parts
    on whole.hour_start_at = parts.hour_start_at and whole.slot_level = parts.slot_level and whole.cluster = parts.cluster
    and whole.pool = parts.pool and whole.node is not distinct from parts.node and whole.gpu_id is not distinct from parts.gpu_id
where parts.cost is distinct from whole.cost
