-- GPU time and its cost: one row per day, node and holder's team, tenant and model, with who billed the node and what its cost is made of.
-- All that a node with GPUs costs counts, whichever of its resources bears it. `seen`: samples saw whether the GPU was at work.
{% set place = ['usage_date', 'cluster', 'pool', 'node', 'gpu_model', 'resource_id'] -%}
{% set holder = ['team', 'cost_centre', 'tenant', 'model'] -%}

with hours as (
    select
        usage_date, cluster, pool, node, gpu_model, allocated_resource_id as resource_id, {{ holder | join(', ') }},
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where slot_level <> 'none'), 0) as existing_hours,
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where is_held and slot_level <> 'none'), 0) as held_hours,
        coalesce(sum(held_gpu_hours::decimal(38, 12)) filter (where is_held), 0) as promised_hours,
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where layer = 'productive'), 0) as productive_hours,
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where layer in ('productive', 'quiet')), 0) as observed_hours,
        coalesce(sum((gpu_hours * gpu_utilization_ratio)::decimal(38, 12)), 0) as busy_hours,
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where gpu_utilization_ratio is not null), 0) as seen_hours,
        coalesce(sum(allocated_cost), 0) as cost,
        coalesce(sum(allocated_cost) filter (where is_held), 0) as held_cost,
        coalesce(sum(allocated_cost) filter (where layer in ('productive', 'quiet')), 0) as observed_cost,
        coalesce(sum(gpu_hours::decimal(38, 12)) filter (where allocated_cost is null and slot_level <> 'none'), 0) as hours_without_cost,
        min(cost_reason) filter (where allocated_cost is null) as cost_reason
    from {{ ref('fct_gpu_hours') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

-- a node that holds no GPU has no part in the cost of GPUs
of_gpus as (
    select *
    from hours
    qualify sum(existing_hours + promised_hours) over (partition by usage_date, cluster, pool, node) > 0
),

priced as (
    select distinct usage_date, resource_id
    from {{ ref('int_node_hours__priced') }}
    where {{ in_build_days('usage_date') }}
),

regions as (
    select resource_id, max(region) as region
    from {{ ref('stg_telemetry__capacity') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
    group by resource_id
)

select
    {% for column in place + holder %}of_gpus.{{ column }}, {% endfor %}
    kinds.provider,
    regions.region,
    of_gpus.existing_hours, of_gpus.held_hours, of_gpus.promised_hours, of_gpus.productive_hours, of_gpus.observed_hours, of_gpus.busy_hours,
    of_gpus.seen_hours, of_gpus.cost, of_gpus.held_cost, of_gpus.observed_cost, of_gpus.hours_without_cost, of_gpus.cost_reason,
    case when kinds.cost <> 0 then kinds.attached_cost::double / kinds.cost::double else 0 end as attached_ratio,
    case when kinds.cost <> 0 then kinds.amortised_cost::double / kinds.cost::double else 0 end as amortised_ratio,
    case
        when of_gpus.hours_without_cost > 0 then 'partial'
        when kinds.resource_id is null and priced.resource_id is not null then 'estimated'
        else 'billed'
    end as basis
from of_gpus
left join {{ ref('int_gpu_cost_kinds') }} as kinds on of_gpus.usage_date = kinds.usage_date and of_gpus.resource_id = kinds.resource_id
left join priced on of_gpus.usage_date = priced.usage_date and of_gpus.resource_id = priced.resource_id
left join regions on of_gpus.resource_id = regions.resource_id
