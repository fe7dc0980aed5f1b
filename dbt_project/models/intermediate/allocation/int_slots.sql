-- Where a cost can be shared out: one row per hour, unit of capacity and resource (`basis`: gpu, cpu, memory, disk, node), with the slot it
-- is part of. A slot is the smallest thing whose holders are known: the GPU, if every holder on the node names its GPUs; else the GPUs of a
-- model on the node, if every holder says which; else the node; and the whole pool in an hour in which something ran in it on no named node.
-- Which resources of a node bear its cost is the policy node_cost_split.
with units as (
    select
        *,
        sum(microseconds) over (partition by hour_start_at, cluster, node, gpu_id, gpu_model) as unit_microseconds
    from {{ ref('int_capacity_hours') }}
    where {{ in_build_days('usage_date') }}
),

capacity as (
    select
        units.*,
        sum(gpu_up_microseconds + gpu_down_microseconds) over node_hour as node_gpu_microseconds,
        sum(cpu_up_microseconds + cpu_down_microseconds) over node_hour as node_cpu_microseconds,
        sum(memory_gb_microseconds) over node_hour as node_memory_gb_microseconds,
        max(unit_microseconds) over node_hour as node_microseconds,
        -- one of its units, in each cloud instance that the node was in the hour
        dense_rank() over (
            partition by units.hour_start_at, units.cluster, units.node order by units.gpu_id nulls first, units.gpu_model
        ) as unit_of_node,
        policies.node_cost_split
    from units
    inner join {{ ref('int_pool_policies') }} as policies
        on units.usage_date = policies.usage_date and units.cluster = policies.cluster and units.pool = policies.pool
    window node_hour as (partition by units.hour_start_at, units.cluster, units.node)
),

held as (
    select * from {{ ref('int_holding_spans') }} where {{ in_build_days('usage_date') }}
),

unplaced_pools as (
    select distinct hour_start_at, cluster, pool from held where not is_on_known_node and node is null
),

node_models as (
    select distinct hour_start_at, cluster, node, gpu_model from capacity
),

-- nodes where someone holds GPUs without saying which (or one that the capacity list has not), and whether each said of which model
unnamed_nodes as (
    select held.hour_start_at, held.cluster, held.node, bool_and(models.gpu_model is not null) as says_model
    from held
    left join capacity
        on held.hour_start_at = capacity.hour_start_at and held.cluster = capacity.cluster and held.node = capacity.node
        and held.gpu_id = capacity.gpu_id
    left join node_models as models
        on held.hour_start_at = models.hour_start_at and held.cluster = models.cluster and held.node = models.node
        and lower(held.asked_model) = lower(models.gpu_model)
    where held.is_on_known_node and held.gpu_parts > 0 and capacity.gpu_id is null
    group by all
),

mixed_nodes as (
    select hour_start_at, cluster, node
    from capacity
    where gpu_up_microseconds + gpu_down_microseconds > 0
    group by all
    having count(distinct coalesce(gpu_model, '')) > 1
),

levelled as (
    select
        capacity.*,
        case
            when unplaced_pools.pool is not null then 'pool'
            when capacity.gpu_id is not null and unnamed_nodes.node is null then 'gpu'
            when mixed_nodes.node is not null and coalesce(unnamed_nodes.says_model, true) then 'model'
            else 'node'
        end as gpu_level,
        case when unplaced_pools.pool is not null then 'pool' else 'node' end as node_level
    from capacity
    left join unplaced_pools
        on capacity.hour_start_at = unplaced_pools.hour_start_at and capacity.cluster = unplaced_pools.cluster
        and capacity.pool = unplaced_pools.pool
    left join unnamed_nodes
        on capacity.hour_start_at = unnamed_nodes.hour_start_at and capacity.cluster = unnamed_nodes.cluster
        and capacity.node = unnamed_nodes.node
    left join mixed_nodes
        on capacity.hour_start_at = mixed_nodes.hour_start_at and capacity.cluster = mixed_nodes.cluster
        and capacity.node = mixed_nodes.node
),

shared_by as (
    select *, 'gpu' as basis, gpu_level as slot_level
    from levelled
    where gpu_up_microseconds + gpu_down_microseconds > 0 and node_cost_split not in ('max_share', 'billing_weights')
    union all
    select *, 'cpu' as basis, node_level as slot_level
    from levelled
    where node_cost_split not in ('max_share', 'billing_weights') and (node_gpu_microseconds = 0 or node_cost_split <> 'gpu')
        and cpu_up_microseconds + cpu_down_microseconds > 0
    union all
    select *, 'memory' as basis, node_level as slot_level
    from levelled
    where node_cost_split not in ('max_share', 'billing_weights', 'gpu') and memory_gb_microseconds > 0
    union all
    select *, 'disk' as basis, node_level as slot_level
    from levelled
    where node_cost_split not in ('max_share', 'billing_weights', 'gpu') and disk_gb_microseconds > 0
    union all
    -- a node of which nothing but its being there is known, and nodes shared by a holder's largest share
    select *, 'node' as basis, node_level as slot_level
    from levelled
    where unit_of_node = 1 and (node_cost_split in ('max_share', 'billing_weights') or (
            node_gpu_microseconds = 0 and node_cpu_microseconds = 0 and (node_cost_split = 'gpu' or node_memory_gb_microseconds = 0)
        ))
)

select
    shared_by.* exclude (gpu_level, node_level, unit_of_node),
    concat_ws(
        '/', basis, slot_level, cluster, pool, case when slot_level <> 'pool' then node end,
        case when slot_level = 'gpu' then gpu_id when slot_level = 'model' then coalesce(gpu_model, '') end
    ) as slot_key,
    case when slot_level <> 'pool' then node end as slot_node,
    case when slot_level = 'gpu' then gpu_id end as slot_gpu_id,
    case when slot_level = 'model' then coalesce(gpu_model, '') end as slot_gpu_model
from shared_by
