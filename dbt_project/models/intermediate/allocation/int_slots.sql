-- Where a cost can be shared out: one row per hour and unit of capacity (GPU or node), with the slot it is part of.
-- A slot is the smallest thing whose holders are known: the GPU, if every holder on the node names its GPUs; else the node;
-- and the whole pool in an hour in which something ran in it on no named node.
with capacity as (
    select *
    from {{ ref('int_capacity_hours') }}
    where {{ in_build_days('usage_date') }}
    -- a node whose GPUs are listed one by one is its GPUs: its row as a whole adds nothing to share out
    qualify gpu_id is not null or not bool_or(gpu_id is not null) over (partition by hour_start_at, cluster, node)
),

held as (
    select * from {{ ref('int_holding_hours') }} where {{ in_build_days('usage_date') }}
),

unplaced_pools as (
    select distinct hour_start_at, cluster, pool from held where not is_on_known_node and node is null
),

-- nodes where someone holds GPUs without saying which, or one that the capacity list has not
unnamed_nodes as (
    select distinct held.hour_start_at, held.cluster, held.node
    from held
    left join capacity
        on held.hour_start_at = capacity.hour_start_at and held.cluster = capacity.cluster and held.node = capacity.node
        and held.gpu_id = capacity.gpu_id
    where held.is_on_known_node and held.gpu_microseconds > 0 and capacity.gpu_id is null
),

levelled as (
    select
        capacity.*,
        case
            when unplaced_pools.pool is not null then 'pool'
            when capacity.gpu_id is not null and unnamed_nodes.node is null then 'gpu'
            else 'node'
        end as slot_level
    from capacity
    left join unplaced_pools
        on capacity.hour_start_at = unplaced_pools.hour_start_at and capacity.cluster = unplaced_pools.cluster
        and capacity.pool = unplaced_pools.pool
    left join unnamed_nodes
        on capacity.hour_start_at = unnamed_nodes.hour_start_at and capacity.cluster = unnamed_nodes.cluster
        and capacity.node = unnamed_nodes.node
)

select
    *,
    case when slot_level <> 'pool' then node end as slot_node,
    case when slot_level = 'gpu' then gpu_id end as slot_gpu_id,
    -- a slot without GPUs is shared by CPU
    case
        when sum(gpu_up_microseconds + gpu_down_microseconds) over (
            partition by hour_start_at, cluster, pool, case when slot_level <> 'pool' then node end
        ) > 0 then 'gpu'
        else 'cpu'
    end as basis
from levelled
