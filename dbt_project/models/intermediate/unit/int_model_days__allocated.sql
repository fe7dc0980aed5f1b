-- A model-day's cost on those who used it: one row per bill of the model-day and row of int_token_days, exact. In proportion
-- to tokens at list price, where the price book prices every token of the model-day; else to tokens (split_method says which).
with tokens as (
    select * from {{ ref('int_token_days__priced') }} where pool_kind is not null and {{ in_build_days('usage_date') }}
),

weighed as (
    select
        *,
        case when bool_and(list_weight is not null) over same_model then 'list_price' else 'token_count' end as split_method,
        case when bool_and(list_weight is not null) over same_model then list_weight else token_count end as weight
    from tokens
    window same_model as (partition by usage_date, model, pool_kind)
),

{% set bill = ['usage_date', 'model', 'pool_kind', 'source_name', 'billed_by', 'billing_period', 'bill_team', 'bill_cost_centre',
    'currency_code'] -%}

shares as (
    select
        pools.usage_date, pools.model, pools.pool_kind, pools.source_name, pools.billed_by, pools.billing_period,
        pools.team as bill_team, pools.cost_centre as bill_cost_centre, pools.currency_code, pools.cost,
        tokens.token_row, tokens.team, tokens.cost_centre, tokens.weight, tokens.split_method
    from {{ ref('int_model_days__pooled') }} as pools
    inner join weighed as tokens
        on pools.usage_date = tokens.usage_date and pools.model = tokens.model and pools.pool_kind = tokens.pool_kind
        and (tokens.provider is null or tokens.pool_kind = 'self_hosted' or lower(tokens.provider) = lower(pools.billed_by))
    where {{ in_build_days('pools.usage_date') }}
)

{{ split_exact('shares', by=bill, amount='cost', weight='weight', tie_break=['token_row'],
    keep=bill + ['token_row', 'team', 'cost_centre', 'split_method']) }}
