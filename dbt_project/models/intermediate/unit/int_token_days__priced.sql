-- The day's tokens at the prices of their hour: one row per day and all that requests are told apart by (request_dimensions), with how
-- the model is served (`vendor`, `self_hosted`; NULL where no bill names it) and list_cost, NULL where a kind of token that was used has no
-- price. Reasoning is part of output. cache_saving_cost: what the cache saved, net of what writing to it cost.
{% set kinds = ['input', 'cached_input', 'cache_write_5m', 'output', 'request'] -%}

with tokens as (
    select * from {{ ref('int_token_days') }} where {{ in_build_days('usage_date') }}
),

keys as (
    select *, row_number() over () as key_number
    from (select distinct usage_date, provider, model, service_tier, priced_region, priced_quantity_from, priced_at from tokens)
),

resolved as (
    select keys.key_number, keys.usage_date, prices.price_kind, prices.unit_price, prices.currency_code
    from keys
    inner join {{ ref('int_prices__of_models') }} as prices
        on keys.model = prices.usage_model and keys.provider is not distinct from prices.usage_provider
        and keys.service_tier is not distinct from prices.service_tier
        and (prices.region is null or prices.region = keys.priced_region)
        and prices.quantity_from <= keys.priced_quantity_from
        and {{ price_holds('prices', 'keys.priced_at') }}
    left join {{ source('config', 'price_books') }} as books
        on prices.book = lower(trim(books.book)) and {{ in_force('books', 'keys.usage_date') }}
    qualify row_number() over (
        partition by keys.key_number, prices.price_kind order by {{ price_order('prices', 'books', 'prices.closeness') }}
    ) = 1
),

prices as (
    select
        resolved.key_number
        {%- for kind in kinds %},
        max(case when resolved.price_kind = '{{ kind }}' then {{ convert_unit_price('resolved.unit_price',
            'case when resolved.currency_code = workspace.currency_code then 1 else rates.rate end') }} end) as {{ kind }}_price
        {%- endfor %}
    from resolved
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'exchange_rates') }} as rates
        on resolved.currency_code = rates.from_currency and rates.to_currency = workspace.currency_code
        and resolved.currency_code <> workspace.currency_code and {{ in_force('rates', 'resolved.usage_date') }}
    group by resolved.key_number
),

counted as (
    select
        tokens.*,
        -- an answer from a cache of answers asked no model
        case when is_cached then 0 else coalesce(input_tokens, 0) - coalesce(cached_input_tokens, 0) end as input_count,
        case when is_cached then 0 else coalesce(cached_input_tokens, 0) end as cached_input_count,
        case when is_cached then 0 else coalesce(cache_write_tokens, 0) end as cache_write_5m_count,
        case when is_cached then 0 else coalesce(output_tokens, 0) end as output_count,
        case when is_cached then 0 else request_count end as priced_request_count,
        {% for kind in kinds %}prices.{{ kind }}_price,
        {% endfor %}
        {% for kind in kinds[:4] %}coalesce({{ kind }}_count > 0 and prices.{{ kind }}_price is null, false){{ ' or ' if not loop.last }}
        {%- endfor %} as lacks_price
    from tokens
    inner join keys
        on tokens.usage_date = keys.usage_date and tokens.model is not distinct from keys.model
        and tokens.provider is not distinct from keys.provider and tokens.service_tier is not distinct from keys.service_tier
        and tokens.priced_region is not distinct from keys.priced_region
        and tokens.priced_quantity_from = keys.priced_quantity_from and tokens.priced_at = keys.priced_at
    left join prices on keys.key_number = prices.key_number
),

together as (
    select
        usage_date, {{ request_dimensions() | join(', ') }},
        {%- for measure in request_measures() %}
        sum({{ measure }})::bigint as {{ measure }},
        {%- endfor %}
        bool_or(is_sampled) as is_sampled,
        bool_or(lacks_price) as lacks_price,
        sum(priced_request_count * coalesce(request_price, 0)
            {%- for kind in kinds[:4] %} + {{ kind }}_count * coalesce({{ kind }}_price, 0){% endfor %}) as exact_cost,
        bool_or(cached_input_count + cache_write_5m_count > 0 and (lacks_price or input_price is null)) as lacks_saving,
        sum((cached_input_count + cache_write_5m_count) * coalesce(input_price, 0)
            - cached_input_count * coalesce(cached_input_price, 0)
            - cache_write_5m_count * coalesce(cache_write_5m_price, 0)) as exact_saving
    from counted
    group by all
),

pools as (
    select distinct usage_date, model, pool_kind, lower(billed_by) as billed_by
    from {{ ref('int_model_days__pooled') }}
    where {{ in_build_days('usage_date') }}
),

kinds_of_model as (
    select distinct usage_date, model, pool_kind from pools
)

select
    together.* exclude (lacks_price, exact_cost, lacks_saving, exact_saving),
    row_number() over (
        order by together.usage_date, {% for name in request_dimensions() %}together.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
    ) as token_row,
    case when together.provider is not null then named.pool_kind else coalesce(own.pool_kind, vendor.pool_kind) end as pool_kind,
    case when not together.lacks_price then {{ from_units(cost_units('together.exact_cost')) }} end as list_cost,
    -- whole numbers that are in proportion to list cost, for splitting
    case when not together.lacks_price then {{ cost_units('together.exact_cost') }} end as list_weight,
    case when not together.lacks_saving then {{ from_units(cost_units('together.exact_saving')) }} end as cache_saving_cost
from together
left join pools as named
    on together.usage_date = named.usage_date and together.model = named.model and lower(together.provider) = named.billed_by
    and named.pool_kind = 'vendor'
left join kinds_of_model as own
    on together.usage_date = own.usage_date and together.model = own.model and own.pool_kind = 'self_hosted'
left join kinds_of_model as vendor
    on together.usage_date = vendor.usage_date and together.model = vendor.model and vendor.pool_kind = 'vendor'
