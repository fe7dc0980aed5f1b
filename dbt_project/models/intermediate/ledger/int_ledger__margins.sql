-- What teams are charged beyond cost, where the dated policy `chargeback_basis` says so: one row per day, team, component, GPU model, model and
-- kind of token that the price names, with its cost, the internal price and the difference. The cost stays as it is; the ledger has the
-- difference as component `markup`. Without a price, or without the quantity that it is of, there is no markup, and unpriced_reason says so.
-- Tax is never marked up. Empty while chargeback is at cost.
{% set what = ['usage_date', 'component', 'gpu_model', 'model'] -%}
{% set charge = what + ['team'] -%}
with days as (
    select build_days.usage_date
    from {{ source('meta', 'build_days') }} as build_days
    inner join {{ source('config', 'policies') }} as policies
        on policies.policy = 'chargeback_basis' and policies.value <> 'cost' and {{ in_force('policies', 'build_days.usage_date') }}
),

charges as (
    select
        charges.usage_date, charges.team, charges.component, charges.gpu_model, charges.model,
        case when bool_or(charges.basis = 'estimated') then 'estimated' else 'billed' end as basis,
        sum(charges.charged_cost)::decimal(38, 12) as charged_cost, charges.currency_code
    from {{ ref('int_ledger__charges') }} as charges
    inner join days on charges.usage_date = days.usage_date
    where charges.bucket = 'allocated' and charges.component <> 'Tax'
    group by all
),

prices as (
    select * from {{ ref('int_internal_prices') }} where {{ in_build_days('usage_date') }}
),

units as (
    select distinct {{ what | join(', ') }}, unit, is_by_kind from prices
),

-- a price of any kind of token is of input and output; writes to a cache, which are beside them, count where a price names a kind
counted as (
    select charges.*, units.unit, quantities.token_kind as used_kind, quantities.quantity
    from charges
    left join units on {{ same_of(what, 'charges', 'units') }}
    left join {{ ref('int_internal_quantities') }} as quantities
        on units.unit <> 'percent' and {{ same_of(charge, 'charges', 'quantities') }} and {{ in_build_days('quantities.usage_date') }}
        and (units.is_by_kind or quantities.token_kind is null or not starts_with(quantities.token_kind, 'cache_write'))
),

-- of the closest prices the one of the kind, for reasoning then that of output, then the one of any kind
priced as (
    select counted.*, prices.price, prices.token_kind
    from counted
    left join prices
        on {{ same_of(what, 'counted', 'prices') }}
        and (
            prices.token_kind is null or prices.token_kind = counted.used_kind
            or (prices.token_kind = 'output' and counted.used_kind = 'reasoning')
        )
    qualify row_number() over (
        partition by {% for name in charge %}counted.{{ name }}, {% endfor %}counted.used_kind
        order by
            prices.closeness, case when prices.token_kind = counted.used_kind then 1 when prices.token_kind is null then 3 else 2 end,
            prices.rule_row
    ) = 1
),

-- cost is not known by kind of token: one kind without a price leaves all of a model at cost
unpriced as (
    select {{ charge | join(', ') }}, {{ listed_in_order('used_kind') }} as kinds
    from priced
    where price is null and used_kind is not null
    group by all
),

by_price as (
    select
        {% for name in charge %}priced.{{ name }}, {% endfor %}priced.basis, priced.charged_cost, priced.currency_code, priced.unit, unpriced.kinds,
        case when unpriced.kinds is null then priced.token_kind end as token_kind,
        case when unpriced.kinds is null then priced.price end as price,
        {{ to_whole('sum(priced.quantity)') }} as quantity
    from priced
    left join unpriced on {{ same_of(charge, 'priced', 'unpriced') }}
    group by all
),

valued as (
    select
        *,
        case unit
            -- 21,000,000 parts of a GPU times 3,600,000,000 microseconds are a GPU-hour; a millionth of a price is 10^6 units
            when 'gpu_hour' then {{ rounded_division(price_millionths('price') ~ ' * quantity', '75600000000') }}
            when 'million_tokens' then {{ price_millionths('price') }} * quantity
            when 'percent' then {{ to_units('charged_cost') }}
                + {{ rounded_division(to_units('charged_cost') ~ ' * ' ~ price_millionths('price'), '100000000') }}
        end as internal_units
    from by_price
),

-- by relative sales value, to the sixth digit
weighed as (
    select *, case when unit = 'million_tokens' then coalesce({{ whole_division(to_whole('internal_units'), '1000000') }}, 0) else 0 end as sales_value
    from valued
),

split as (
    {{ split_exact('weighed', by=charge, amount='charged_cost', weight='sales_value', tie_break=['token_kind'],
        keep=charge + ['basis', 'currency_code', 'unit', 'kinds', 'token_kind', 'price', 'quantity', 'internal_units'], into='own_cost') }}
)

select
    split.usage_date,
    date_trunc('month', split.usage_date)::date as usage_period,
    split.team,
    teams.cost_centre,
    split.component,
    split.gpu_model,
    split.model,
    split.token_kind,
    split.basis,
    split.unit,
    split.price,
    case split.unit
        when 'gpu_hour' then {{ part_hours('split.quantity') }} when 'million_tokens' then split.quantity::double / 1000000.0
    end as quantity,
    split.own_cost as charged_cost,
    {{ from_units('split.internal_units') }} as internal_cost,
    ({{ from_units('split.internal_units') }} - split.own_cost)::decimal(38, 12) as margin_cost,
    case
        when split.unit is null then 'no internal price'
        when split.kinds is not null then 'no internal price of ' || replace(split.kinds, ',', ', ')
        when split.internal_units is null then 'no quantity'
    end as unpriced_reason,
    split.currency_code
from split
left join {{ source('config', 'teams') }} as teams
    on lower(split.team) = lower(teams.team) and {{ in_force('teams', 'split.usage_date') }}
