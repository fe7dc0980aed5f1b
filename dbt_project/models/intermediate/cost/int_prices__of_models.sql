-- The prices that may be meant by a request: one row per provider and model that the build's days name, and price of it.
-- A book names a model by its name (* stands for anything, [0-9] for a digit) or its SKU, letter case aside; `closeness` says how exactly.
{{ config(materialized='table') }}

with used as (
    select distinct provider, model
    from {{ ref('stg_telemetry__requests') }}
    where {{ in_build_days('usage_date') }} and model is not null
    union
    select provider, model from {{ ref('int_vendor_model_names') }}
),

keyed as (
    select
        provider as usage_provider,
        model as usage_model,
        coalesce(lower(trim(provider)), '') as provider_key,
        lower(trim(model)) as model_key
    from used
),

{% set named = ['book', 'region', 'service_tier', 'price_kind', 'quantity_from', 'unit_price', 'currency_code', 'valid_from', 'valid_to',
    'day_from', 'day_to', 'price_row'] -%}

-- a price list has thousands of names: those without * are found by hash
matched as (
    select keyed.*, prices.price_row, 100001 as closeness
    from keyed
    inner join {{ ref('int_prices') }} as prices on keyed.provider_key = prices.provider_key and keyed.model_key = prices.model
    union all
    select keyed.*, prices.price_row, 100000
    from keyed
    inner join {{ ref('int_prices') }} as prices on keyed.provider_key = prices.provider_key and keyed.model_key = prices.sku
    union all
    select keyed.*, prices.price_row, length(prices.model)
    from keyed
    inner join {{ ref('int_prices') }} as prices
        on keyed.provider_key = prices.provider_key and {{ matches_glob('keyed.model_key', 'prices.model') }}
    where prices.model like '%*%' or prices.model like '%[0-9]%'
)

select
    matched.usage_provider,
    matched.usage_model,
    max(matched.closeness) as closeness,
    {% for column in named %}prices.{{ column }}{{ ',' if not loop.last }}
    {% endfor %}
from matched
inner join {{ ref('int_prices') }} as prices on matched.price_row = prices.price_row
group by all
