-- What internal prices by quantity are held against: one row per day, team, component and GPU model or model and kind of token, with the time
-- that the team held GPUs (parts times microseconds) or the tokens it used. Counted is what the team is charged for under that component:
-- GPUs of a slot that has a cost and serves no model, tokens whose cost is charged to consumers. Empty while chargeback is at cost.
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
    select
        layers.usage_date, layers.team, 'gpu' as component, layers.gpu_model, null::varchar as model, null::varchar as token_kind,
        {{ to_whole('sum(layers.parts)') }} as quantity
    from {{ ref('int_slot_layers') }} as layers
    inner join days on layers.usage_date = days.usage_date
    where layers.is_held and layers.basis = 'gpu' and layers.model is null and layers.team is not null
        and exists (
            select 1 from {{ ref('int_slot_costs') }} as costs
            where costs.hour_start_at = layers.hour_start_at and costs.part_start_at = layers.part_start_at and costs.slot_key = layers.slot_key
        )
    group by all
),

-- a request that names no team is charged to the owner of what served it; where several bills share a model-day, to the first
billed as (
    select allocated.usage_date, allocated.token_row, 'tokens_' || allocated.pool_kind as component,
        min(coalesce(allocated.team, allocated.bill_team)) as team
    from {{ ref('int_model_days__allocated') }} as allocated
    inner join days on allocated.usage_date = days.usage_date
    where days.model_cost_charged_to = 'consumers' and allocated.figure = 'allocated'
    group by all
),

-- what is input of no other kind is what is left: of a sampled log the whole is rounded once
tokens as (
    select * replace (token_count - coalesce(output_tokens, 0) as input_tokens)
    from {{ ref('int_token_days__priced') }}
    where usage_date in (select days.usage_date from days)
),

charged as (
    select usage_date, token_row, team, component from billed where team is not null

    union all

    select usage_date, token_row, team, 'tokens_vendor'
    from tokens
    where pool_kind is null and provider is not null and list_cost is not null and team is not null
),

used as (
    select
        charged.usage_date, charged.team, charged.component, tokens.model,
        {%- for kind, count in token_kinds().items() %}
        sum({{ count }}) as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from charged
    inner join tokens on charged.usage_date = tokens.usage_date and charged.token_row = tokens.token_row
    group by all
),

by_kind as (
    {% for kind in token_kinds() -%}
    select usage_date, team, component, model, '{{ kind }}' as token_kind, {{ kind }} as quantity from used
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select * from held where quantity > 0

union all

select usage_date, team, component, null as gpu_model, model, token_kind, {{ to_whole('quantity') }} as quantity
from by_kind
where quantity > 0
