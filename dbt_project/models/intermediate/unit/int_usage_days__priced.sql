-- int_usage_days at the price book's prices of its hour: list_cost in the reporting currency, NULL where a kind of token that was used has no
-- price. A name that no book knows is looked up by its alias, then without its version (int_vendor_model_names).
{% set kinds = ['input', 'cached_input', 'cache_write_5m', 'cache_write_1h', 'output', 'request'] -%}

with usage_rows as (
    select *, row_number() over () as usage_row
    from {{ ref('int_usage_days') }}
    where {{ in_build_days('usage_date') }}
),

keys as (
    select *, row_number() over () as key_number
    from (
        select distinct
            usage_date, side = 'log' as is_log, provider, named_model, model_family, service_tier, priced_region, priced_quantity_from, priced_at
        from usage_rows
    )
),

names as (
    select key_number, named_model as model, 1 as name_rank from keys where is_log
    union all
    select key_number, model_family, 3 from keys where is_log and model_family <> named_model
    union all
    select keys.key_number, names.model, names.name_rank
    from keys
    inner join {{ ref('int_vendor_model_names') }} as names
        on keys.provider = names.provider and keys.named_model = names.vendor_model
    where not keys.is_log
),

matched as (
    select keys.key_number, keys.usage_date, names.name_rank, prices.*
    from keys
    inner join names on keys.key_number = names.key_number
    inner join {{ ref('int_prices__of_models') }} as prices
        on names.model = prices.usage_model and keys.provider is not distinct from prices.usage_provider
        and keys.service_tier is not distinct from prices.service_tier
        and (prices.region is null or prices.region = keys.priced_region)
        and prices.quantity_from <= keys.priced_quantity_from
        and {{ price_holds('prices', 'keys.priced_at') }}
    qualify rank() over (partition by keys.key_number order by names.name_rank) = 1
),

resolved as (
    select matched.*
    from matched
    left join {{ source('config', 'price_books') }} as books
        on matched.book = lower(trim(books.book)) and {{ in_force('books', 'matched.usage_date') }}
    qualify row_number() over (
        partition by matched.key_number, matched.price_kind order by {{ price_order('matched', 'books', 'matched.closeness') }}
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
        usage_rows.*,
        coalesce(input_tokens, 0) - coalesce(cached_input_tokens, 0) as input_count,
        coalesce(cached_input_tokens, 0) as cached_input_count,
        coalesce(cache_write_tokens, 0) - coalesce(cache_write_1h_tokens, 0) as cache_write_5m_count,
        coalesce(cache_write_1h_tokens, 0) as cache_write_1h_count,
        coalesce(output_tokens, 0) as output_count,
        {% for kind in kinds %}prices.{{ kind }}_price,
        {% endfor %}
        {% for kind in kinds[:5] %}coalesce({{ kind }}_count <> 0 and prices.{{ kind }}_price is null, false) or {% endfor %}
        coalesce(audio_tokens, 0) > 0 as lacks_price
    from usage_rows
    inner join keys
        on usage_rows.usage_date = keys.usage_date and (usage_rows.side = 'log') = keys.is_log
        and usage_rows.provider = keys.provider and usage_rows.named_model = keys.named_model
        and usage_rows.service_tier is not distinct from keys.service_tier
        and usage_rows.priced_region is not distinct from keys.priced_region
        and usage_rows.priced_quantity_from = keys.priced_quantity_from and usage_rows.priced_at = keys.priced_at
    left join prices on keys.key_number = prices.key_number
),

costed as (
    select
        *,
        case when not lacks_price then coalesce(request_count, 0) * coalesce(request_price, 0)
            {%- for kind in kinds[:5] %} + {{ kind }}_count * coalesce({{ kind }}_price, 0){% endfor %} end as exact_cost
    from counted
)

select
    * exclude (
        usage_row, lacks_price, exact_cost, input_count, cached_input_count, cache_write_5m_count, cache_write_1h_count, output_count
        {%- for kind in kinds %}, {{ kind }}_price{% endfor %}
    ),
    {{ from_units(cost_units('exact_cost')) }} as list_cost
from costed
