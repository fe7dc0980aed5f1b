-- What teams are charged beyond cost, where the dated policy `chargeback_basis` says so: one row per day, team, component, GPU model and model,
-- with its cost, the internal price in force (config/internal_prices.csv, the most specific one) and the difference. The cost stays as it is;
-- the ledger has the difference as component `markup`. Without a price, or without the quantity that it is of, there is no markup, and
-- unpriced_reason says so. Tax is never marked up. Empty while chargeback is at cost.
{% set what = ['component', 'gpu_model', 'model'] -%}
with days as (
    select build_days.usage_date, policies.value as chargeback_basis
    from {{ source('meta', 'build_days') }} as build_days
    inner join {{ source('config', 'policies') }} as policies
        on policies.policy = 'chargeback_basis' and policies.value <> 'cost' and {{ in_force('policies', 'build_days.usage_date') }}
),

charges as (
    select
        charges.usage_date, days.chargeback_basis, charges.team, charges.component, charges.gpu_model, charges.model,
        case when bool_or(charges.basis = 'estimated') then 'estimated' else 'billed' end as basis,
        sum(charges.charged_cost)::decimal(38, 12) as charged_cost, charges.currency_code
    from {{ ref('int_ledger__charges') }} as charges
    inner join days on charges.usage_date = days.usage_date
    where charges.bucket = 'allocated' and charges.component <> 'Tax'
    group by all
),

prices as (
    select
        unit, price, valid_from, valid_to, rule_row,
        coalesce(nullif(lower(trim(component)), ''), case unit when 'gpu_hour' then 'gpu' when 'million_tokens' then 'tokens_*' else '*' end) as component,
        coalesce(nullif(lower(trim(gpu_model)), ''), '*') as gpu_model,
        coalesce(nullif(lower(trim(model)), ''), '*') as model
    from {{ source('config', 'internal_prices') }}
),

-- the price that names most, then the one with the longest names, then the first of the file
matched as (
    select charges.usage_date, {% for name in what %}charges.{{ name }}, {% endfor %}prices.unit, prices.price
    from (select distinct usage_date, chargeback_basis, {{ what | join(', ') }} from charges) as charges
    inner join prices
        on (prices.unit = 'percent' or charges.chargeback_basis = 'price_list')
        {%- for name in what %}
        and (prices.{{ name }} = '*' or {{ matches_glob('lower(charges.' ~ name ~ ')', 'prices.' ~ name) }})
        {%- endfor %}
        and {{ in_force('prices', 'charges.usage_date') }}
    qualify row_number() over (
        partition by charges.usage_date, {% for name in what %}charges.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        order by
            {% for name in what %}case when prices.{{ name }} = '*' then 0 else 1 end{{ ' + ' if not loop.last }}{% endfor %} desc,
            {% for name in what %}length(replace(prices.{{ name }}, '*', '')){{ ' + ' if not loop.last }}{% endfor %} desc, prices.rule_row
    ) = 1
),

valued as (
    select
        charges.*, matched.unit, matched.price,
        case when matched.unit <> 'percent' then quantities.quantity end as quantity,
        case matched.unit
            -- 21,000,000 parts of a GPU times 3,600,000,000 microseconds are a GPU-hour; a millionth of a price is 10^6 units
            when 'gpu_hour' then {{ rounded_division(price_millionths('matched.price') ~ ' * quantities.quantity', '75600000000') }}
            when 'million_tokens' then {{ price_millionths('matched.price') }} * quantities.quantity
            when 'percent' then {{ to_units('charges.charged_cost') }}
                + {{ rounded_division(to_units('charges.charged_cost') ~ ' * ' ~ price_millionths('matched.price'), '100000000') }}
        end as internal_units
    from charges
    left join matched
        on charges.usage_date = matched.usage_date
        {%- for name in what %} and charges.{{ name }} is not distinct from matched.{{ name }}{% endfor %}
    left join {{ ref('int_internal_quantities') }} as quantities
        on charges.usage_date = quantities.usage_date and charges.team = quantities.team and {{ in_build_days('quantities.usage_date') }}
        {%- for name in what %} and charges.{{ name }} is not distinct from quantities.{{ name }}{% endfor %}
)

select
    valued.usage_date,
    date_trunc('month', valued.usage_date)::date as usage_period,
    valued.team,
    teams.cost_centre,
    valued.component,
    valued.gpu_model,
    valued.model,
    valued.basis,
    valued.unit,
    valued.price,
    case valued.unit
        when 'gpu_hour' then {{ part_hours('valued.quantity') }} when 'million_tokens' then valued.quantity::double / 1000000.0
    end as quantity,
    valued.charged_cost,
    {{ from_units('valued.internal_units') }} as internal_cost,
    ({{ from_units('valued.internal_units') }} - valued.charged_cost)::decimal(38, 12) as margin_cost,
    case when valued.unit is null then 'no internal price' when valued.internal_units is null then 'no quantity' end as unpriced_reason,
    valued.currency_code
from valued
left join {{ source('config', 'teams') }} as teams
    on lower(valued.team) = lower(teams.team) and {{ in_force('teams', 'valued.usage_date') }}
