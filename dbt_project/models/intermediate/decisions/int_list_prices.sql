-- Standard list prices of the models that are used or compared: one row per day and model (and provider, where requests name one), per
-- token in 10^-18 of the reporting currency; NULL where no book has one. Short prompts, no service tier, at the start of the day.
{{ config(materialized='table') }}
{% set kinds = ['input', 'cached_input', 'cache_write_5m', 'output'] -%}

with wanted as (
    select distinct usage_date, provider, model from {{ ref('int_token_days__priced') }} where model is not null

    union

    -- whoever sells it
    select distinct tokens.usage_date, null as provider, pairs.compared_with as model
    from {{ ref('int_token_days__priced') }} as tokens
    inner join {{ source('config', 'comparable_models') }} as pairs
        on lower(trim(tokens.model)) = lower(trim(pairs.model)) and {{ in_force('pairs', 'tokens.usage_date') }}
),

resolved as (
    select
        wanted.*, prices.price_kind,
        {{ convert_unit_price('prices.unit_price', 'case when prices.currency_code = workspace.currency_code then 1 else rates.rate end') }}
            as unit_price
    from wanted
    cross join {{ source('config', 'workspace') }} as workspace
    inner join {{ ref('int_prices') }} as prices
        on lower(trim(wanted.model)) = prices.model and (wanted.provider is null or lower(trim(wanted.provider)) = prices.provider_key)
        and prices.service_tier is null and prices.region is null and prices.quantity_from = 0
        and {{ price_holds('prices', 'wanted.usage_date') }}
    left join {{ source('config', 'price_books') }} as books
        on prices.book = lower(trim(books.book)) and {{ in_force('books', 'wanted.usage_date') }}
    left join {{ source('config', 'exchange_rates') }} as rates
        on prices.currency_code = rates.from_currency and rates.to_currency = workspace.currency_code
        and prices.currency_code <> workspace.currency_code and {{ in_force('rates', 'wanted.usage_date') }}
    qualify row_number() over (
        partition by wanted.usage_date, wanted.provider, wanted.model, prices.price_kind order by {{ price_order('prices', 'books', '0') }}
    ) = 1
)

select
    usage_date,
    provider,
    model
    {%- for kind in kinds %},
    max(unit_price) filter (where price_kind = '{{ kind }}') as {{ kind }}_price
    {%- endfor %}
from resolved
group by all
