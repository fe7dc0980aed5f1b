-- The price books as one: one row per price of config/prices.csv (book `config`) and of loaded price lists, in the currency it
-- was stated in. A price whose hours of the day cannot be read is none.
{{ config(materialized='table') }}

with stated as (
    select
        'config' as book, provider, null as sku, model, region, service_tier, token_kind as price_kind, quantity_from,
        price_per_million as price,
        case when lower(trim(token_kind)) = 'share_of_standard' then 1 else 1000000 end::decimal(38, 20) as per_quantity, currency, valid_from::timestamp as valid_from,
        valid_to::timestamp as valid_to, time_from, time_to, '' as source_name, '' as file_name, rule_row as file_row
    from {{ source('config', 'prices') }}

    union all

    select
        coalesce(nullif(trim(book), ''), source_name), provider, sku, model, region, service_tier, price_kind, quantity_from,
        price, coalesce(per_quantity, 1), currency, valid_from, valid_to, time_from, time_to, source_name, file_name, file_row
    from {{ source('raw', 'prices') }}
),

typed as (
    select
        lower(trim(book)) as book,
        nullif(trim(provider), '') as provider,
        coalesce(lower(trim(provider)), '') as provider_key,
        lower(nullif(trim(sku), '')) as sku,
        lower(nullif(trim(model), '')) as model,
        lower(nullif(trim(region), '')) as region,
        {{ service_tier('service_tier') }} as service_tier,
        {{ token_kind_name('price_kind') }} as price_kind,
        coalesce(quantity_from, 0) as quantity_from,
        {{ unit_price('price', 'per_quantity') }} as unit_price,
        upper(coalesce(nullif(trim(currency), ''), workspace.currency_code)) as currency_code,
        valid_from,
        valid_to,
        coalesce(nullif(trim(time_from), ''), case when trim(time_to) <> '' then '00:00' end) as time_from,
        coalesce(nullif(trim(time_to), ''), case when trim(time_from) <> '' then '24:00' end) as time_to,
        row_number() over (order by source_name, file_name, file_row, sku, model, price_kind, quantity_from, price) as price_row
    from stated
    cross join {{ source('config', 'workspace') }} as workspace
    where price is not null
),

with_hours as (
    select
        * exclude (time_from, time_to),
        time_from is not null as has_hours,
        {{ clock('time_from') }} as day_from,
        {{ clock('time_to') }} as day_to
    from typed
)

select * exclude (has_hours)
from with_hours
where not has_hours or (day_from is not null and day_to is not null and day_from <> day_to)
