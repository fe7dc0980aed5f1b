-- The internal prices (config/internal_prices.csv) that fit what is charged while chargeback is not at cost: one row per day, component, GPU
-- model, model and price. The closest one decides in what unit it is priced; prices in other units are left out. Nothing while it is at cost.
{% set what = ['component', 'gpu_model', 'model'] -%}
with days as (
    select build_days.usage_date, policies.value as chargeback_basis
    from {{ source('meta', 'build_days') }} as build_days
    inner join {{ source('config', 'policies') }} as policies
        on policies.policy = 'chargeback_basis' and policies.value <> 'cost' and {{ in_force('policies', 'build_days.usage_date') }}
),

charges as (
    select distinct charges.usage_date, days.chargeback_basis, charges.component, charges.gpu_model, charges.model
    from {{ ref('int_ledger__charges') }} as charges
    inner join days on charges.usage_date = days.usage_date
    where charges.bucket = 'allocated' and charges.component <> 'Tax'
),

prices as (
    select
        unit, price, valid_from, valid_to, rule_row,
        coalesce(nullif(lower(trim(component)), ''), case unit when 'gpu_hour' then 'gpu' when 'million_tokens' then 'tokens_*' else '*' end) as component,
        coalesce(nullif(lower(trim(gpu_model)), ''), '*') as gpu_model,
        coalesce(nullif(lower(trim(model)), ''), '*') as model,
        nullif({{ token_kind_name('token_kind') }}, '') as token_kind
    from {{ source('config', 'internal_prices') }}
),

-- the closest prices are those that name most, of these those with the longest names; the kind of token is looked at after that
fitting as (
    select
        charges.usage_date, {% for name in what %}charges.{{ name }}, {% endfor %}prices.unit, prices.token_kind, prices.price, prices.rule_row,
        dense_rank() over (
            partition by charges.usage_date, {% for name in what %}charges.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
            order by
                {% for name in what %}case when prices.{{ name }} = '*' then 0 else 1 end{{ ' + ' if not loop.last }}{% endfor %} desc,
                {% for name in what %}length(replace(prices.{{ name }}, '*', '')){{ ' + ' if not loop.last }}{% endfor %} desc
        ) as closeness
    from charges
    inner join prices
        on (prices.unit = 'percent' or charges.chargeback_basis = 'price_list')
        {%- for name in what %}
        and (prices.{{ name }} = '*' or {{ matches_glob('lower(charges.' ~ name ~ ')', 'prices.' ~ name) }})
        {%- endfor %}
        and {{ in_force('prices', 'charges.usage_date') }}
),

-- of as close ones the first of the file
decided as (
    select
        *,
        first_value(unit) over (partition by usage_date, {{ what | join(', ') }} order by closeness, rule_row) as decided_unit,
        bool_or(token_kind is not null) over (partition by usage_date, {{ what | join(', ') }}) as is_by_kind
    from fitting
)

select
    usage_date, {{ what | join(', ') }}, unit, token_kind, price, closeness, rule_row,
    is_by_kind -- whether a price names a kind of token
from decided
where unit = decided_unit
