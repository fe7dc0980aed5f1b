-- What nodes cost by the price book, each part of an hour at its own price (int_node_parts__priced): one row per hour and resource.
-- It is charged only where no bill says what the hour cost (int_charges__spread).
select
    usage_date,
    hour_start_at,
    resource_id,
    min(source_name) as source_name,
    min(billed_by) as billed_by,
    min(sku) as sku,
    min(price_kind) as price_kind,
    min(book) as book,
    sum(microseconds)::bigint as microseconds,
    case when bool_and(list_cost is not null) then sum(list_cost) end::decimal(38, 12) as list_cost,
    min(currency_code) as currency_code
from {{ ref('int_node_parts__priced') }}
group by usage_date, hour_start_at, resource_id
