-- Usage without a price: one row per day, source, provider, model, service tier, team and kind of token or call of which the price books
-- have none (or one in a currency without a rate). A vendor's bill may pay it all the same.
{{ config(materialized='incremental', incremental_strategy='days') }}

with counted as (
    select
        tokens.*,
        {{ units_of_kinds() }}
    from {{ ref('int_token_days') }} as tokens
    where {{ in_build_days('tokens.usage_date') }}
),

at_prices as (
    select
        counted.*
        {%- for kind in priced_kinds() %},
        prices.{{ kind }}_price
        {%- endfor %}
    from counted
    left join {{ ref('int_token_prices') }} as prices
        on {{ same_prices('counted', 'prices') }} and {{ in_build_days('prices.usage_date') }}
),

by_kind as (
    {% for kind in priced_kinds() if kind != 'request' -%}
    select
        usage_date, source_name, provider as provider_name, model, service_tier, team,
        '{{ kind }}' as price_kind, sum({{ kind }}_units) as quantity
    from at_prices
    where {{ lacks_price(kind) }}
    group by all
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    usage_date,
    source_name,
    provider_name,
    model,
    service_tier,
    team,
    price_kind,
    quantity::bigint as quantity
from by_kind
