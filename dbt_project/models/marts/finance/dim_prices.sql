-- The price books as one, for questions about what something will cost: one row per price, of a million tokens or requests or of an hour, in
-- its currency and in the reporting currency at the newest rate. Which price is taken: book_priority, then the closest name.
{{ config(materialized='table') }}

with newest_rates as (
    select rates.from_currency, max_by(rates.rate, coalesce(rates.valid_from, date '0001-01-01')) as rate
    from {{ source('config', 'exchange_rates') }} as rates
    inner join {{ source('config', 'workspace') }} as workspace on rates.to_currency = workspace.currency_code
    group by 1
),

ranked as (
    select lower(trim(book)) as book, max_by(priority, coalesce(valid_from, date '0001-01-01')) as priority
    from {{ source('config', 'price_books') }}
    group by 1
),

rated as (
    select
        prices.*,
        workspace.currency_code as reporting_currency,
        case when prices.currency_code = workspace.currency_code then 1 else newest_rates.rate end as exchange_rate,
        prices.price_kind in ('node_hour', 'gpu_hour') as is_of_hours
    from {{ ref('int_prices') }} as prices
    cross join {{ source('config', 'workspace') }} as workspace
    left join newest_rates on prices.currency_code = newest_rates.from_currency
),

converted as (
    select *, {{ convert_unit_price('unit_price', 'exchange_rate') }} as reporting_unit_price from rated
)

select
    converted.book,
    coalesce(ranked.priority, case when converted.book = 'config' then -2147483648 else 2147483647 end)::integer as book_priority,
    converted.price_row::bigint as price_row,
    converted.provider as provider_name,
    converted.model,
    converted.sku,
    converted.region,
    converted.service_tier,
    converted.price_kind,
    converted.quantity_from::decimal(38, 20) as quantity_from,
    case when converted.is_of_hours then 'hour' when converted.price_kind = 'request' then 'million requests' else 'million tokens' end as unit,
    {% for column in ['unit_price', 'reporting_unit_price'] -%}
    {{ from_units('case when converted.is_of_hours then ' ~ whole_division('converted.' ~ column ~ ' + 500000', '1000000')
        ~ ' else converted.' ~ column ~ ' end') }} as {{ column }},
    {% endfor -%}
    converted.currency_code as price_currency,
    converted.reporting_currency as currency_code,
    converted.exchange_rate::decimal(38, 20) as exchange_rate,
    converted.valid_from,
    converted.valid_to,
    converted.day_from::bigint as day_from_microseconds,
    converted.day_to::bigint as day_to_microseconds
from converted
left join ranked on converted.book = ranked.book
