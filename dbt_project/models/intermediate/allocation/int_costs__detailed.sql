-- Everything that is charged, each cent once, before shared costs are shared out: one row per day, bill, payer, component, place, and what a
-- statement tells apart (service, GPU model, model, project, tenant, rule). Buckets keep what nobody pays for; a dimension is NULL where the
-- cost has none. A model's cost is charged to its consumers or stays with the owner, as the dated policy `model_cost_charged_to` says.
with days as (
    select build_days.usage_date, coalesce(min(policies.value), 'consumers') as model_cost_charged_to
    from {{ source('meta', 'build_days') }} as build_days
    left join {{ source('config', 'policies') }} as policies
        on policies.policy = 'model_cost_charged_to' and policies.cluster is null and policies.pool is null and {{ in_force('policies', 'build_days.usage_date') }}
    group by build_days.usage_date
),

costed_slots as (
    select distinct hour_start_at, resource_id
    from {{ ref('int_slots') }}
    where {{ in_build_days('usage_date') }}
),

-- model-days whose cost goes to the consumers instead of the owner
consumed as (
    select distinct allocated.usage_date, allocated.model, allocated.pool_kind, allocated.source_name, allocated.billed_by,
        allocated.billing_period, allocated.bill_team, allocated.currency_code
    from {{ ref('int_model_days__allocated') }} as allocated
    inner join days on allocated.usage_date = days.usage_date
    where days.model_cost_charged_to = 'consumers' and allocated.figure = 'allocated'
),

direct as (
    select
        spread.usage_date, spread.source_name, spread.billed_by, spread.billing_period, spread.team, spread.cost_centre,
        case when spread.is_unused_commitment then 'unused_commitment' when spread.team is null then 'unowned' else 'allocated' end as bucket,
        case
            when spread.pool_kind = 'provisioned' and spread.is_unused_commitment then 'provisioned_unused'
            when spread.model is not null then 'tokens_' || spread.pool_kind else spread.component
        end as component,
        null::varchar as cluster, null::varchar as pool, null::varchar as node, spread.service_name, null::varchar as gpu_model, spread.model,
        spread.project, null::varchar as tenant, spread.owner_rule as rule, spread.cost, spread.currency_code
    from {{ ref('int_charges__by_use') }} as spread
    left join costed_slots
        on spread.hour_start_at = costed_slots.hour_start_at and spread.resource_id = costed_slots.resource_id
    left join consumed
        on spread.usage_date = consumed.usage_date and spread.model = consumed.model and spread.pool_kind = consumed.pool_kind
        and spread.source_name = consumed.source_name and spread.billed_by = consumed.billed_by
        and spread.billing_period = consumed.billing_period and spread.team is not distinct from consumed.bill_team
        and spread.resource_id is null and not spread.is_unused_commitment
    where {{ in_build_days('spread.usage_date') }} and costed_slots.resource_id is null and consumed.model is null
),

-- a holding has one rule and one project, however many nodes it held
holdings as (
    select source_name, holding_id, min(owner_rule) as owner_rule, min(project) as project
    from {{ ref('int_holdings__owned') }}
    group by source_name, holding_id
),

held as (
    select
        slots.usage_date, slots.source_name, slots.billed_by, slots.billing_period,
        case when slots.is_held then slots.team when slots.layer = 'unknown' then slots.bill_team end as team,
        case when slots.is_held then slots.cost_centre when slots.layer = 'unknown' then slots.bill_cost_centre end as cost_centre,
        case
            when slots.is_unused_commitment then 'unused_commitment'
            when slots.layer in ('idle', 'down', 'stranded') then slots.layer
            when not slots.is_held and slots.bill_team is not null then 'allocated'
            when not slots.is_held or slots.team is null then 'unowned'
            else 'allocated'
        end as bucket,
        case
            when slots.layer = 'unknown' and not slots.is_held then slots.basis || '_unknown'
            when slots.model is not null then 'tokens_self_hosted'
            else slots.basis
        end as component,
        slots.cluster, slots.pool, slots.node, slots.component as service_name, slots.gpu_model, slots.model, holdings.project, slots.tenant,
        holdings.owner_rule as rule, slots.allocated_cost as cost, slots.currency_code
    from {{ ref('int_slot_hours__allocated') }} as slots
    left join holdings on slots.is_held and slots.holding_source = holdings.source_name and slots.holding_id = holdings.holding_id
    left join consumed
        on slots.usage_date = consumed.usage_date and slots.model = consumed.model and consumed.pool_kind = 'self_hosted'
        and slots.source_name = consumed.source_name and slots.billed_by = consumed.billed_by
        and slots.billing_period = consumed.billing_period and slots.team is not distinct from consumed.bill_team
        and slots.is_held and not slots.is_unused_commitment
    where {{ in_build_days('slots.usage_date') }} and consumed.model is null and (slots.is_held or slots.allocated_cost <> 0)
),

-- digits past the 12th, kept per bill
rounding as (
    select
        charge_date as usage_date, source_name, billed_by, billing_period, null as team, null as cost_centre,
        'rounding' as bucket, 'rounding' as component, null as cluster, null as pool, null as node, null as service_name, null as gpu_model,
        null as model, null as project, null as tenant, null as rule,
        (sum(reporting_effective_cost) - sum(reporting_effective_cost::decimal(38, 12)))::decimal(38, 12) as cost, currency_code
    from {{ ref('int_charges__owned') }}
    where {{ in_build_days('charge_date') }}
    group by all
    having cost <> 0
),

-- a capacity list bills nothing: what a node without a bill costs by the price book bears its name
estimates as (
    select distinct source_name from {{ ref('int_node_hours__priced') }} where {{ in_build_days('usage_date') }}
),

spread as (
    select *, case when source_name in (select estimates.source_name from estimates) then 'estimated' else 'billed' end as basis
    from (select * from direct union all select * from held)
),

charged as (
    select * from spread
    union all by name select * from {{ ref('int_costs__of_tokens') }} where {{ in_build_days('usage_date') }}
    union all by name select *, 'billed' as basis from rounding
)

select
    usage_date,
    date_trunc('month', usage_date)::date as usage_period,
    billing_period,
    source_name,
    billed_by,
    case when bucket = 'allocated' then team else bucket end as team,
    case when bucket = 'allocated' then cost_centre end as cost_centre,
    bucket,
    component,
    basis,
    cluster,
    pool,
    node,
    service_name,
    gpu_model,
    model,
    project,
    tenant,
    rule,
    sum(cost) as charged_cost,
    currency_code
from charged
group by all
