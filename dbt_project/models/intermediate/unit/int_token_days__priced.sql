-- The day's tokens at the prices of their hour: one row per day and all that requests are told apart by (request_dimensions), with how the
-- model is served (`vendor`, `self_hosted`; NULL where no bill names it) and list_cost, NULL where a kind of token or call that was used has no
-- price; what has none is counted (unpriced_tokens, unpriced_calls). list_input_cost and list_output_cost are the two sides, without
-- fees by the call, each rounded by itself. cache_saving_cost: what the cache saved, net of what writing to it cost.
{% set kinds = priced_kinds() -%}
{% set input_kinds = ['input', 'cached_input', 'cache_write_5m', 'cache_write_1h', 'input_audio', 'cached_input_audio', 'input_image'] -%}
{% set output_kinds = ['output', 'reasoning', 'output_audio', 'output_image'] -%}
{# what would be paid without the cache #}
{% set uncached = {'cached_input': 'input', 'cache_write_5m': 'input', 'cache_write_1h': 'input', 'cached_input_audio': 'input_audio'} -%}

with tokens as (
    select * from {{ ref('int_token_days') }} where {{ in_build_days('usage_date') }}
),

counted as (
    select
        tokens.*,
        {{ units_of_kinds() }}
    from tokens
),

at_prices as (
    select
        counted.*
        {%- for kind in kinds %},
        prices.{{ kind }}_price
        {%- endfor %}
    from counted
    left join {{ ref('int_token_prices') }} as prices
        on {{ same_prices('counted', 'prices') }} and {{ in_build_days('prices.usage_date') }}
),

together as (
    select
        usage_date, {{ request_dimensions() | join(', ') }},
        {%- for measure in request_measures() %}
        sum({{ measure }})::bigint as {{ measure }},
        {%- endfor %}
        bool_or(is_sampled) as is_sampled,
        bool_or({% for kind in input_kinds %}{{ lacks_price(kind) }}{{ ' or ' if not loop.last }}{% endfor %}) as lacks_input_price,
        bool_or({% for kind in output_kinds %}{{ lacks_price(kind) }}{{ ' or ' if not loop.last }}{% endfor %}) as lacks_output_price,
        bool_or({% for kind in call_kinds() %}{{ lacks_price(kind) }}{{ ' or ' if not loop.last }}{% endfor %}) as lacks_call_price,
        sum({% for kind in token_kinds() %}case when {{ lacks_price(kind) }} then {{ kind }}_units else 0 end
            {{- ' + ' if not loop.last }}{% endfor %})::bigint as unpriced_tokens,
        sum({% for kind in call_kinds() %}case when {{ lacks_price(kind) }} then {{ kind }}_units else 0 end
            {{- ' + ' if not loop.last }}{% endfor %})::bigint as unpriced_calls,
        sum({% for kind in input_kinds %}{{ kind }}_units * coalesce({{ kind }}_price, 0){{ ' + ' if not loop.last }}{% endfor %})
            as exact_input_cost,
        sum({% for kind in output_kinds %}{{ kind }}_units * coalesce({{ kind }}_price, 0){{ ' + ' if not loop.last }}{% endfor %})
            as exact_output_cost,
        sum({% for kind in call_kinds() %}{{ kind }}_units * coalesce({{ kind }}_price, 0){{ ' + ' if not loop.last }}
            {%- endfor %}) as exact_call_cost,
        bool_or({% for kind, instead in uncached.items() %}{{ kind }}_units > 0 and ({{ kind }}_price is null or {{ instead }}_price is null)
            {{- ' or ' if not loop.last }}{% endfor %}) as lacks_saving,
        sum({% for kind, instead in uncached.items() %}{{ kind }}_units * (coalesce({{ instead }}_price, 0) - coalesce({{ kind }}_price, 0))
            {{- ' + ' if not loop.last }}{% endfor %}) as exact_saving
    from at_prices
    group by all
),

costed as (
    select
        * exclude (lacks_input_price, lacks_output_price, lacks_call_price, exact_input_cost, exact_output_cost, exact_call_cost,
            lacks_saving, exact_saving),
        case when not lacks_input_price then {{ from_units(cost_units('exact_input_cost')) }} end as list_input_cost,
        case when not lacks_output_price then {{ from_units(cost_units('exact_output_cost')) }} end as list_output_cost,
        -- whole numbers that are in proportion to list cost, for splitting
        case when not lacks_input_price and not lacks_output_price and not lacks_call_price
            then {{ cost_units('exact_input_cost + exact_output_cost + exact_call_cost') }} end as list_weight,
        case when not lacks_saving then {{ from_units(signed_cost_units('exact_saving')) }} end as cache_saving_cost
    from together
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
    costed.*,
    row_number() over (
        order by costed.usage_date, {% for name in request_dimensions() %}costed.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
    ) as token_row,
    case
        when provisioned.pool_kind is not null then provisioned.pool_kind
        when costed.provider is not null then named.pool_kind
        else coalesce(own.pool_kind, vendor.pool_kind)
    end as pool_kind,
    {{ from_units('costed.list_weight') }} as list_cost
from costed
left join pools as named
    on costed.usage_date = named.usage_date and costed.model = named.model and lower(costed.provider) = named.billed_by
    and named.pool_kind = 'vendor'
left join (
    select distinct usage_date, model, pool_kind, {{ unfolded({'billed_by': ['billed_by', 'null']}) }}
    from pools
    where pool_kind = 'provisioned'
) as provisioned
    on costed.usage_date = provisioned.usage_date and costed.model = provisioned.model and costed.service_tier = 'provisioned'
    and lower(costed.provider) is not distinct from provisioned.billed_by
left join kinds_of_model as own
    on costed.usage_date = own.usage_date and costed.model = own.model and own.pool_kind = 'self_hosted'
left join kinds_of_model as vendor
    on costed.usage_date = vendor.usage_date and costed.model = vendor.model and vendor.pool_kind = 'vendor'
