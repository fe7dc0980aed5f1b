-- Who bears a slot-hour's cost: one row per slot-hour, layer, holder and bill. Σ over layers = the slot-hour's cost, exactly.
{% set slot = ['usage_date', 'hour_start_at', 'slot_level', 'cluster', 'pool', 'node', 'gpu_id'] -%}
{%- set bill = ['source_name', 'billed_by', 'billing_period', 'component', 'is_unused_commitment', 'bill_team', 'bill_cost_centre',
    'currency_code'] -%}
{%- set holder = ['layer', 'basis', 'holding_source', 'holding_id', 'job_id', 'model', 'team', 'cost_centre', 'holder_node',
    'holder_gpu_id'] -%}

with costs as (
    select * from {{ ref('int_slot_hours__costed') }} where {{ in_build_days('usage_date') }}
),

layers as (
    select * from {{ ref('int_slot_hours__layers') }} where {{ in_build_days('usage_date') }}
),

shares as (
    select
        {% for column in slot + bill %}costs.{{ column }}, {% endfor %}
        costs.cost,
        layers.layer,
        layers.basis,
        layers.source_name as holding_source,
        layers.holding_id,
        layers.job_id,
        layers.model,
        layers.team,
        layers.cost_centre,
        layers.holder_node,
        layers.holder_gpu_id,
        layers.microseconds,
        row_number() over (
            order by costs.hour_start_at, costs.cluster, costs.pool, costs.node, costs.gpu_id, layers.layer, layers.source_name,
                layers.holding_id, layers.holder_node, layers.holder_gpu_id
        ) as share_number
    from costs
    inner join layers
        on costs.hour_start_at = layers.hour_start_at and costs.slot_level = layers.slot_level
        and costs.cluster = layers.cluster and costs.pool = layers.pool
        and costs.node is not distinct from layers.node and costs.gpu_id is not distinct from layers.gpu_id
)

{{ split_exact('shares', by=slot + bill, amount='cost', weight='microseconds', tie_break=['share_number'],
    keep=slot + bill + holder) }}
