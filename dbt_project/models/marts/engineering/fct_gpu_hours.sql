-- One row per hour, slot (GPU, GPUs of a model, node or pool), resource, layer and holder; and holders on no listed node.
-- Of a slot-hour, the hours of its layers add up to what existed and allocated_cost to what it cost.
{{ config(materialized='incremental', incremental_strategy='days') }}
{% set row = ['hour_start_at', 'slot_key', 'layer', 'evidence', 'reason', 'is_held', 'node', 'gpu_id', 'holding_id', 'job_id', 'holder_kind', 'name',
    'team', 'cost_centre', 'tenant', 'model', 'gpu_profile', 'gpu_sharing', 'share_method'] -%}

with layers as (
    select
        {{ row | join(', ') }}, source_name, usage_date, slot_level, basis, cluster, pool, gpu_model, node_cost_split,
        sum(parts) as parts,
        sum(weight) as weight,
        sum(declared_parts) as declared_parts,
        sum(cpu_microseconds) as cpu_microseconds,
        max(compute_parts) as compute_parts,
        max(memory_parts) as memory_parts
    from {{ ref('int_slot_layers') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

costs as (
    select
        {{ row | join(', ') }}, holding_source,
        sum(allocated_cost) as allocated_cost,
        min(resource_id) as resource_id
    from {{ ref('int_slot_hours__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

-- holders whose node the capacity list has not, or who hold no GPU on a node whose GPUs bear its cost
elsewhere as (
    select spans.*, {{ microseconds_between('spans.span_start_at', 'spans.span_end_at') }} as microseconds
    from {{ ref('int_holding_spans') }} as spans
    anti join {{ ref('int_slot_holdings') }} as placed
        on spans.hour_start_at = placed.hour_start_at and spans.source_name = placed.source_name
        and spans.holding_id = placed.holding_id and spans.node is not distinct from placed.node
        and spans.gpu_id is not distinct from placed.gpu_id
    where {{ in_build_days('spans.usage_date') }}
),

-- of the device, whoever shares it
sampled as (
    select
        hour_start_at, node, gpu_id,
        sum(busy_microseconds)::double / sum(covered_microseconds) as gpu_utilization_ratio
    from {{ ref('int_gpu_spans__sampled') }}
    where covered_microseconds > 0 and {{ in_build_days('usage_date') }}
    group by all
),

together as (
    select
        layers.hour_start_at, layers.usage_date, layers.cluster, layers.pool, layers.node, layers.gpu_id, layers.gpu_model,
        layers.slot_level, layers.basis, layers.layer, layers.evidence, layers.reason, layers.is_held, layers.holding_id, layers.job_id,
        layers.holder_kind, layers.name, layers.team, layers.cost_centre, layers.tenant, layers.model, layers.source_name,
        layers.gpu_profile, layers.gpu_sharing,
        concat_ws(', ', 'node: ' || layers.node_cost_split, layers.basis || ': ' || layers.share_method) as allocated_method_id,
        layers.weight::double / nullif(sum(layers.weight) over (partition by layers.hour_start_at, layers.slot_key), 0)::double
            as allocated_ratio,
        layers.compute_parts, layers.memory_parts,
        case when layers.basis = 'gpu' then {{ part_hours('layers.parts') }} else 0 end as gpu_hours,
        case when layers.basis = 'gpu' and layers.is_held then {{ part_hours('layers.declared_parts') }} end as held_gpu_hours,
        case when layers.basis = 'cpu' then {{ part_hours('layers.parts') }} else layers.cpu_microseconds / 3600000000.0 end as cpu_hours,
        case when layers.basis = 'memory' then {{ part_hours('layers.parts') }} end as memory_gb_hours,
        costs.resource_id,
        costs.allocated_cost,
        case when costs.allocated_cost is null then 'no bill names the node' end as cost_reason
    from layers
    left join costs
        on {% for column in row %}layers.{{ column }} is not distinct from costs.{{ column }} and {% endfor %}
        layers.source_name is not distinct from costs.holding_source

    union all

    select
        hour_start_at, usage_date, cluster, pool, node, gpu_id, null, 'none', 'gpu', 'unknown', 'requested', null, true, holding_id, job_id,
        holder_kind, name, team, cost_centre, tenant, model, source_name, gpu_profile, gpu_sharing, null, null, compute_parts, memory_parts,
        {{ part_hours('sum(gpu_parts::hugeint * microseconds)') }}, {{ part_hours('sum(gpu_parts::hugeint * microseconds)') }},
        sum((cpu_count * microseconds)::bigint) / 3600000000.0, null, null,
        case when is_on_known_node then 0::decimal(38, 12) end,
        case
            when is_on_known_node then 'holds nothing that bears the node''s cost'
            when node is null then 'no node named'
            else 'node not in the capacity list'
        end
    from elsewhere
    group by all
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
    together.basis as resource,
    together.layer,
    together.evidence,
    together.reason as layer_reason,
    together.is_held,
    together.holding_id,
    together.job_id,
    together.holder_kind,
    together.name,
    together.team,
    together.cost_centre,
    together.tenant,
    together.model,
    together.source_name,
    together.gpu_profile,
    together.gpu_sharing,
    together.compute_parts / {{ parts_of_one() }}.0 as mig_compute_ratio,
    together.memory_parts / {{ parts_of_one() }}.0 as mig_memory_ratio,
    together.gpu_hours,
    together.held_gpu_hours,
    together.cpu_hours,
    together.memory_gb_hours,
    sampled.gpu_utilization_ratio,
    profiled.sm_active_ratio::double as sm_active_ratio,
    profiled.tensor_active_ratio::double as tensor_active_ratio,
    profiled.dram_active_ratio::double as dram_active_ratio,
    together.allocated_method_id,
    together.allocated_ratio,
    together.resource_id as allocated_resource_id,
    together.allocated_cost,
    workspace.currency_code,
    together.cost_reason
from together
cross join {{ source('config', 'workspace') }} as workspace
left join sampled
    on together.basis = 'gpu' and together.hour_start_at = sampled.hour_start_at and together.node = sampled.node
    and case when together.slot_level = 'gpu' then together.gpu_id end is not distinct from sampled.gpu_id
    and together.slot_level in ('gpu', 'node')
left join {{ ref('int_gpu_hours__profiled') }} as profiled
    on together.basis = 'gpu' and together.hour_start_at = profiled.hour_start_at and together.gpu_id = profiled.gpu_id
    and together.node = profiled.node and {{ in_build_days('profiled.usage_date') }}
