-- What each kind of token and call costs: one row per day and what a price depends on (provider, model, service tier, and region, prompt
-- length and time of day where prices differ by them), per token or call in 10^-18 of the reporting currency. NULL: no book has the price,
-- or its currency no rate. Reasoning has the price of output where the book names none of its own. A service tier without a price has
-- the share of the standard one that a book of the same or an earlier rank says (`share_of_standard`), else none.
{% set key = ['usage_date', 'provider', 'model', 'service_tier', 'priced_region', 'priced_quantity_from', 'priced_at'] -%}

with keys as (
    select *, row_number() over () as key_number
    from (select distinct {{ key | join(', ') }} from {{ ref('int_token_days') }} where {{ in_build_days('usage_date') }})
),

candidates as (
    select
        keys.key_number, keys.usage_date,
        prices.* exclude (usage_provider, usage_model, service_tier),
        (prices.service_tier is not null or keys.service_tier is null) as is_of_tier,
        books.priority,
        {{ book_rank('prices', 'books') }} as book_rank
    from keys
    inner join {{ ref('int_prices__of_models') }} as prices
        on keys.model = prices.usage_model and keys.provider is not distinct from prices.usage_provider
        and (prices.service_tier is null or prices.service_tier = keys.service_tier)
        and (prices.region is null or prices.region = keys.priced_region)
        and prices.quantity_from <= keys.priced_quantity_from
        and {{ price_holds('prices', 'keys.priced_at') }}
    left join {{ source('config', 'price_books') }} as books
        on prices.book = lower(trim(books.book)) and {{ in_force('books', 'keys.usage_date') }}
),

shares as (
    select key_number, book_rank, book, unit_price as share
    from candidates
    where price_kind = 'share_of_standard' and is_of_tier
    qualify row_number() over (partition by key_number order by {{ price_order('candidates', 'candidates', 'closeness') }}) = 1
),

by_kind as (
    select *, true as is_own from candidates where price_kind <> 'share_of_standard'
    union all
    select * replace ('reasoning' as price_kind), false as is_own from candidates where price_kind = 'output'
),

resolved as (
    select
        by_kind.key_number, by_kind.usage_date, by_kind.price_kind, by_kind.currency_code,
        case
            when by_kind.is_of_tier then by_kind.unit_price
            else {{ share_of_price('by_kind.unit_price', 'shares.share') }}
        end as unit_price
    from by_kind
    left join shares
        on by_kind.key_number = shares.key_number
        and (shares.book_rank < by_kind.book_rank or (shares.book_rank = by_kind.book_rank and shares.book <= by_kind.book))
    where by_kind.is_of_tier or shares.share is not null
    qualify row_number() over (
        partition by by_kind.key_number, by_kind.price_kind
        order by {{ price_order('by_kind', 'by_kind', 'by_kind.closeness', in_book='by_kind.is_of_tier desc, by_kind.is_own desc,') }}
    ) = 1
)

select
    keys.* exclude (key_number)
    {%- for kind in priced_kinds() %},
    max(case when resolved.price_kind = '{{ kind }}' then {{ convert_unit_price('resolved.unit_price',
        'case when resolved.currency_code = workspace.currency_code then 1 else rates.rate end') }} end) as {{ kind }}_price
    {%- endfor %}
from keys
cross join {{ source('config', 'workspace') }} as workspace
left join resolved on keys.key_number = resolved.key_number
left join {{ source('config', 'exchange_rates') }} as rates
    on resolved.currency_code = rates.from_currency and rates.to_currency = workspace.currency_code
    and resolved.currency_code <> workspace.currency_code and {{ in_force('rates', 'resolved.usage_date') }}
group by all
