-- Who bears a slot-hour's cost: one row per part of a slot-hour, layer, holder and bill. Σ over layers = the slot-hour's cost, exactly.
-- `allocated_ratio` is the row's share of the slot's weight (FOCUS AllocatedMethodDetails: AllocatedRatio).
{% set slot = ['usage_date', 'hour_start_at', 'part_start_at', 'slot_key', 'resource_id'] -%}
{%- set bill = ['source_name', 'billed_by', 'billing_period', 'component', 'is_unused_commitment', 'bill_team', 'bill_cost_centre',
    'currency_code'] -%}
{%- set holder = ['slot_level', 'basis', 'cluster', 'pool', 'layer', 'evidence', 'is_held', 'holding_source', 'holding_id', 'job_id', 'holder_kind', 'name', 'gpu_profile', 'gpu_sharing',
    'share_method', 'gpu_model', 'model', 'tenant', 'team', 'cost_centre',
    'reason', 'node', 'gpu_id', 'weight', 'slot_weight'] -%}

with costs as (
    select * from {{ ref('int_slot_costs') }} where {{ in_build_days('usage_date') }}
),

layers as (
    select
        *,
        sum(weight) over (partition by hour_start_at, part_start_at, slot_key) as slot_weight
    from {{ ref('int_slot_layers') }}
    where {{ in_build_days('usage_date') }}
),

shares as (
    select
        {% for column in slot + bill %}costs.{{ column }}, {% endfor %}
        costs.cost,
        layers.slot_level,
        layers.basis,
        layers.cluster,
        layers.pool,
        layers.layer,
        layers.evidence,
        layers.is_held,
        layers.reason,
        layers.source_name as holding_source,
        layers.holding_id,
        layers.job_id,
        layers.holder_kind,
        layers.name,
        layers.gpu_profile,
        layers.gpu_sharing,
        layers.share_method,
        layers.gpu_model,
        layers.model,
        layers.tenant,
        layers.team,
        layers.cost_centre,
        layers.node,
        layers.gpu_id,
        layers.weight,
        layers.slot_weight,
        row_number() over (
            order by costs.hour_start_at, costs.part_start_at, costs.slot_key, layers.layer, layers.evidence, layers.reason,
                layers.source_name, layers.holding_id, layers.node, layers.gpu_id, layers.gpu_profile, layers.name,
                layers.gpu_sharing, layers.share_method, layers.team, layers.cost_centre, layers.job_id, layers.holder_kind, layers.model,
                layers.tenant
        ) as share_number
    from costs
    inner join layers
        on costs.hour_start_at = layers.hour_start_at and costs.part_start_at = layers.part_start_at and costs.slot_key = layers.slot_key
)

{{ split_exact('shares', by=slot + bill, amount='cost', weight='weight', tie_break=['share_number'], keep=slot + bill + holder) }}
