-- The day's tokens at the price book's prices of the day: one row per row of int_token_days, with how the model is served
-- (`vendor`, `self_hosted`; NULL where no bill names it) and list_cost, NULL where a kind of token that was used has no price.
-- Reasoning tokens are part of output; cached input is part of input and costs the cached price.
with tokens as (
    select
        *,
        row_number() over (order by source_name, provider, model, team, tenant, feature, usage_date) as token_row
    from {{ ref('int_token_days') }}
    where {{ in_build_days('usage_date') }}
),

pools as (
    select distinct usage_date, model, pool_kind, lower(billed_by) as billed_by
    from {{ ref('int_model_days__pooled') }}
    where {{ in_build_days('usage_date') }}
),

kinds_of_model as (
    select distinct usage_date, model, pool_kind from pools
),

served as (
    select
        tokens.*,
        case
            when tokens.provider is not null then named.pool_kind
            else coalesce(own.pool_kind, vendor.pool_kind)
        end as pool_kind
    from tokens
    left join pools as named
        on tokens.usage_date = named.usage_date and tokens.model = named.model and lower(tokens.provider) = named.billed_by
        and named.pool_kind = 'vendor'
    left join kinds_of_model as own
        on tokens.usage_date = own.usage_date and tokens.model = own.model and own.pool_kind = 'self_hosted'
    left join kinds_of_model as vendor
        on tokens.usage_date = vendor.usage_date and tokens.model = vendor.model and vendor.pool_kind = 'vendor'
),

kinds as (
    select token_row, usage_date, provider, model, 'input' as token_kind,
        coalesce(input_tokens, 0) - coalesce(cached_input_tokens, 0) as tokens from served
    union all
    select token_row, usage_date, provider, model, 'cached_input', coalesce(cached_input_tokens, 0) from served
    union all
    select token_row, usage_date, provider, model, 'output', coalesce(output_tokens, 0) from served
),

prices as (
    select
        book.*,
        case when book.currency = workspace.currency_code then 1 else rates.rate end as exchange_rate,
        coalesce(rates.valid_from, date '0001-01-01') as rate_from,
        coalesce(rates.valid_to, date '9999-12-31') as rate_to
    from {{ source('config', 'prices') }} as book
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'exchange_rates') }} as rates
        on book.currency = rates.from_currency and rates.to_currency = workspace.currency_code
        and book.currency <> workspace.currency_code
),

priced as (
    select
        kinds.token_row,
        sum(kinds.tokens::decimal(19, 0) * {{ convert_money('prices.price_per_million', 'prices.exchange_rate') }}
            ::decimal(19, 9)) as millions_cost,
        bool_or(kinds.tokens > 0 and (prices.price_per_million is null or prices.exchange_rate is null)) as lacks_price
    from kinds
    left join prices
        on kinds.model = prices.model and kinds.token_kind = prices.token_kind
        and coalesce(lower(kinds.provider), '') = coalesce(lower(prices.provider), '')
        and {{ in_force('prices', 'kinds.usage_date') }}
        and prices.rate_from <= kinds.usage_date and kinds.usage_date < prices.rate_to
    group by kinds.token_row
)

select
    served.*,
    case when not priced.lacks_price then (priced.millions_cost::decimal(31, 9) * 0.000001::decimal(7, 6))::decimal(38, 12) end as list_cost,
    -- whole numbers that are in proportion to list cost, for splitting
    case when not priced.lacks_price then (priced.millions_cost * 1000000)::hugeint end as list_weight
from served
inner join priced on served.token_row = priced.token_row
