-- What internal prices by quantity are held against: one row per day, team, component and GPU model or model, with the time that the team
-- held GPUs (parts times microseconds) or the tokens it used. Counted is what the team is charged for under that component: GPUs of a slot
-- that has a cost and serves no model, tokens whose cost is charged to consumers. Empty while chargeback is at cost.
with days as (
    select
        build_days.usage_date,
        coalesce(min(policies.value) filter (where policies.policy = 'model_cost_charged_to'), 'consumers') as model_cost_charged_to
    from {{ source('meta', 'build_days') }} as build_days
    inner join {{ source('config', 'policies') }} as policies
        on policies.policy in ('chargeback_basis', 'model_cost_charged_to') and {{ in_force('policies', 'build_days.usage_date') }}
    group by build_days.usage_date
    having min(policies.value) filter (where policies.policy = 'chargeback_basis') = 'price_list'
),

held as (
    select layers.usage_date, layers.team, 'gpu' as component, layers.gpu_model, null::varchar as model, {{ to_whole('sum(layers.parts)') }} as quantity
    from {{ ref('int_slot_layers') }} as layers
    inner join days on layers.usage_date = days.usage_date
    semi join {{ ref('int_slot_costs') }} as costs
        on layers.hour_start_at = costs.hour_start_at and layers.part_start_at = costs.part_start_at and layers.slot_key = costs.slot_key
    where layers.is_held and layers.basis = 'gpu' and layers.model is null and layers.team is not null
    group by all
),

-- a request that names no team is charged to the owner of what served it; where several bills share a model-day, to the first
billed as (
    select allocated.usage_date, allocated.token_row, 'tokens_' || allocated.pool_kind as component, allocated.model,
        min(coalesce(allocated.team, allocated.bill_team)) as team
    from {{ ref('int_model_days__allocated') }} as allocated
    inner join days on allocated.usage_date = days.usage_date
    where days.model_cost_charged_to = 'consumers' and allocated.figure = 'allocated'
    group by all
),

used as (
    select billed.usage_date, billed.team, billed.component, null::varchar as gpu_model, billed.model, priced.token_count
    from billed
    inner join {{ ref('int_token_days__priced') }} as priced on billed.usage_date = priced.usage_date and billed.token_row = priced.token_row
    where billed.team is not null

    union all

    select priced.usage_date, priced.team, 'tokens_vendor', null, priced.model, priced.token_count
    from {{ ref('int_token_days__priced') }} as priced
    inner join days on priced.usage_date = days.usage_date
    where priced.pool_kind is null and priced.provider is not null and priced.list_cost is not null and priced.team is not null
)

select * from held where quantity > 0

union all

select usage_date, team, component, gpu_model, model, {{ to_whole('sum(token_count)') }} as quantity
from used
group by all
having sum(token_count) > 0
