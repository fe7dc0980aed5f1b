-- One row per pool, project and kind of amount (commitment fee, committed use credit, sustained use credit): what Google billed to the
-- project, and what is its own by the commitments' scopes. Both add up to the same in every pool. Method: docs/decisions/0010.
{{ config(materialized='table') }}

{% set pool = ['usage_date', 'billing_account_id', 'billing_currency', 'region_id', 'cud_type', 'unit_type'] -%}

with reserved as (
    select
        {{ pool | join(', ') }}, project_id,
        sum({{ whole_division(to_whole('least(committed_units, scope_usage_units)') ~ ' * ' ~ to_whole('usage_units'),
            to_whole('scope_usage_units')) }}) as reserved_units,
        sum({{ whole_division(to_whole('committed_units') ~ ' * ' ~ to_whole('usage_units'), to_whole('scope_usage_units')) }})
            as fee_weight
    from {{ ref('int_gcp_cud_scopes') }}
    group by all
),

-- a project in several scopes is covered once
entitled as (
    select
        usage.*,
        least({{ to_whole('usage.usage_units') }}, coalesce(reserved.reserved_units, 0))::hugeint as reserved_units,
        coalesce(reserved.fee_weight, 0)::hugeint as fee_weight
    from {{ ref('int_gcp_cud_usage') }} as usage
    left join reserved
        on usage.project_id = reserved.project_id
        {% for column in pool -%}
        and usage.{{ column }} is not distinct from reserved.{{ column }}
        {% endfor %}
),

pooled as (
    select
        *,
        {{ to_whole('sum(covered_units) over pool') }} as pool_covered,
        {{ to_whole('sum(usage_units) over pool') }} as pool_usage,
        {{ to_whole('sum(reserved_units) over pool') }} as pool_reserved
    from entitled
    window pool as (partition by {{ pool | join(', ') }})
),

-- what commitments cover goes to their scopes first; what the scopes do not use floats to the rest
covered as (
    select
        *,
        case when pool_reserved > 0
            then {{ whole_division('least(pool_covered, pool_reserved) * reserved_units', 'pool_reserved') }} else 0 end
        + case when pool_covered > pool_reserved and pool_usage > pool_reserved
            then {{ whole_division('(pool_covered - pool_reserved) * (' ~ to_whole('usage_units') ~ ' - reserved_units)',
                'pool_usage - pool_reserved') }} else 0 end as share_units
    from pooled
),

amounts as (
    select {{ pool | join(', ') }}, project_id, 'commitment_fee' as cost_kind, fee as billed_cost, fee_weight as weight from covered
    union all
    select {{ pool | join(', ') }}, project_id, 'committed_use_credit', cud_credit, share_units from covered
    union all
    select {{ pool | join(', ') }}, project_id, 'sustained_use_credit', sud_credit,
        greatest({{ to_whole('usage_units') }} - share_units, 0) from covered
),

totals as (
    select
        *,
        sum(billed_cost) over kind as pool_cost,
        sum(weight) over kind as pool_weight
    from amounts
    window kind as (partition by {{ pool | join(', ') }}, cost_kind)
),

due as (
    select * from totals where pool_weight > 0
),

split as (
    {{ split_exact('due', by=pool + ['cost_kind'], amount='pool_cost', weight='weight', tie_break=['project_id'],
        keep=pool + ['project_id', 'cost_kind', 'billed_cost'], into='attributed_cost') }}
),

-- nobody in any scope used it: it stays where it was billed
together as (
    select * from split
    union all
    select {{ pool | join(', ') }}, project_id, cost_kind, billed_cost, billed_cost from totals where pool_weight = 0
)

select
    {{ pool | join(', ') }},
    project_id,
    cost_kind,
    billed_cost::decimal(38, 12) as billed_cost,
    attributed_cost::decimal(38, 12) as attributed_cost
from together
where billed_cost <> 0 or attributed_cost <> 0
