-- One row per hour, slot (GPU, node or pool) and layer: each holder, idle, unknown, down; and holders on no listed node.
-- Of a slot-hour, gpu_hours add up to what existed and allocated_cost to what it cost.
{{ config(materialized='incremental', incremental_strategy='days') }}

with layers as (
    select * from {{ ref('int_slot_hours__layers') }} where {{ in_build_days('usage_date') }}
),

costs as (
    select
        hour_start_at, slot_level, cluster, pool, node, gpu_id, layer, holding_source, holding_id, holder_node, holder_gpu_id,
        sum(allocated_cost) as allocated_cost
    from {{ ref('int_slot_hours__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

-- holders whose node the capacity list has not, or who hold no GPU on a node of GPUs
elsewhere as (
    select holdings.*
    from {{ ref('int_holding_hours') }} as holdings
    anti join layers
        on holdings.hour_start_at = layers.hour_start_at and holdings.source_name = layers.source_name
        and holdings.holding_id = layers.holding_id and holdings.node is not distinct from layers.holder_node
        and holdings.gpu_id is not distinct from layers.holder_gpu_id
    where {{ in_build_days('holdings.usage_date') }}
),

together as (
    select
        layers.hour_start_at, layers.usage_date, layers.cluster, layers.pool, layers.holder_node as node,
        layers.holder_gpu_id as gpu_id, layers.gpu_model, layers.slot_level, layers.layer, layers.holding_id, layers.job_id,
        layers.holder_kind, layers.name, layers.team, layers.cost_centre, layers.model, layers.source_name,
        layers.gpu_microseconds * case when layers.basis = 'gpu' then layers.share_ratio else 1 end as gpu_microseconds,
        case when layers.layer = 'held' then layers.gpu_microseconds end as held_gpu_microseconds,
        layers.cpu_microseconds * case when layers.basis = 'cpu' then layers.share_ratio else 1 end as cpu_microseconds,
        costs.allocated_cost,
        case when costs.allocated_cost is null then 'no bill names the node' end as cost_reason
    from layers
    left join costs
        on layers.hour_start_at = costs.hour_start_at and layers.slot_level = costs.slot_level
        and layers.cluster = costs.cluster and layers.pool = costs.pool and layers.layer = costs.layer
        and layers.holder_node is not distinct from costs.holder_node
        and layers.holder_gpu_id is not distinct from costs.holder_gpu_id
        and layers.source_name is not distinct from costs.holding_source
        and layers.holding_id is not distinct from costs.holding_id
    where layers.microseconds > 0 or layers.layer = 'held' or costs.allocated_cost <> 0

    union all

    select
        hour_start_at, usage_date, cluster, pool, node, gpu_id, null, 'none', 'held', holding_id, job_id, holder_kind, name,
        team, cost_centre, model, source_name, gpu_microseconds, gpu_microseconds, cpu_microseconds,
        case when is_on_known_node then 0::decimal(38, 12) end,
        case
            when is_on_known_node then 'holds no GPU on a node of GPUs'
            when node is null then 'no node named'
            else 'node not in the capacity list'
        end
    from elsewhere
)

select
    together.hour_start_at,
    together.usage_date,
    nullif(together.cluster, '') as cluster,
    nullif(together.pool, '') as pool,
    together.node,
    together.gpu_id,
    together.gpu_model,
    together.slot_level,
    together.layer,
    together.holding_id,
    together.job_id,
    together.holder_kind,
    together.name,
    together.team,
    together.cost_centre,
    together.model,
    together.source_name,
    together.gpu_microseconds / 3600000000.0 as gpu_hours,
    together.held_gpu_microseconds / 3600000000.0 as held_gpu_hours,
    together.cpu_microseconds / 3600000000.0 as cpu_hours,
    sampled.gpu_utilization_ratio::double as gpu_utilization_ratio,
    together.allocated_cost,
    workspace.currency_code,
    together.cost_reason
from together
cross join {{ source('config', 'workspace') }} as workspace
left join {{ ref('int_gpu_hours__sampled') }} as sampled
    on together.hour_start_at = sampled.hour_start_at and together.gpu_id = sampled.gpu_id
    and {{ in_build_days('sampled.usage_date') }}
