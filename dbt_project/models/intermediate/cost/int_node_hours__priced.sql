-- What nodes cost by the price book: one row per hour and resource of the capacity list for which a book has a price per
-- node-hour (by SKU, or the node's own name) or per GPU-hour (by SKU, GPU model, or any GPU), the price of the hour's start times
-- the time it existed. It is charged only where no bill says what the hour cost (int_charges__spread).
with capacity as (
    select
        *,
        lower(trim(sku)) as sku_key,
        lower(trim(gpu_model)) as gpu_key,
        lower(trim(region)) as region_key
    from {{ ref('stg_telemetry__capacity') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

books as (
    select * from {{ ref('int_prices') }}
    where price_kind in ('node_hour', 'gpu_hour') and service_tier is null and quantity_from = 0
),

named as (
    select price_row, coalesce(sku, model) as name, price_kind from books
),

-- only nodes that some book has a price for are looked at hour by hour
matched as (
    select distinct nodes.resource_id, nodes.node, named.price_row, nodes.closeness
    from (
        select distinct resource_id, node, 'node_hour' as price_kind, lower(node) as name, 4 as closeness from capacity
        union all
        select distinct resource_id, node, 'node_hour', lower(resource_id), 4 from capacity
        union all
        select distinct resource_id, node, 'node_hour', sku_key, 3 from capacity
        union all
        select distinct resource_id, node, 'gpu_hour', sku_key, 2 from capacity
        union all
        select distinct resource_id, node, 'gpu_hour', gpu_key, 1 from capacity
    ) as nodes
    inner join named on nodes.price_kind = named.price_kind and nodes.name = named.name
    union all
    select distinct capacity.resource_id, capacity.node, named.price_row, 0
    from capacity
    inner join named on named.price_kind = 'gpu_hour' and named.name is null
),

hours as (
    select capacity.*, {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from capacity
    where resource_id in (select matched.resource_id from matched)
),

-- a node whose GPUs are listed one by one existed as long as the one that existed longest
existed as (
    select
        hour_start_at, resource_id, node, min(source_name) as source_name, max(sku) as sku, max(gpu_model) as gpu_model,
        max(region_key) as region_key, max(microseconds)::bigint as node_microseconds
    from (
        select
            hour_start_at, resource_id, node, gpu_id, min(source_name) as source_name, max(sku) as sku,
            max(gpu_model) as gpu_model, max(region_key) as region_key,
            sum({{ overlap_microseconds('started_at', 'ended_at', 'hour_start_at', 'hour') }}) as microseconds
        from hours
        where {{ in_build_days('hour_start_at::date') }}
        group by all
    )
    group by all
),

gpus as (
    select hour_start_at, resource_id, node, sum(gpu_up_microseconds + gpu_down_microseconds)::bigint as gpu_microseconds
    from {{ ref('int_capacity_hours') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

resolved as (
    select
        existed.*, books.provider, books.price_kind, books.book, books.unit_price, books.currency_code,
        case when books.price_kind = 'node_hour' then existed.node_microseconds else gpus.gpu_microseconds end as microseconds
    from existed
    inner join gpus
        on existed.hour_start_at = gpus.hour_start_at and existed.resource_id = gpus.resource_id and existed.node = gpus.node
    inner join matched on existed.resource_id = matched.resource_id and existed.node = matched.node
    inner join books
        on matched.price_row = books.price_row and (books.region is null or books.region = existed.region_key)
        and {{ price_holds('books', 'existed.hour_start_at') }}
        and (books.price_kind = 'node_hour' or gpus.gpu_microseconds > 0)
    left join {{ source('config', 'price_books') }} as ranks
        on books.book = lower(trim(ranks.book)) and {{ in_force('ranks', 'existed.hour_start_at::date') }}
    qualify row_number() over (
        partition by existed.hour_start_at, existed.resource_id, existed.node
        order by {{ price_order('books', 'ranks', 'matched.closeness') }}
    ) = 1
),

converted as (
    select
        resolved.*,
        workspace.currency_code as reporting_currency_code,
        {{ convert_unit_price('resolved.unit_price',
            'case when resolved.currency_code = workspace.currency_code then 1 else rates.rate end') }} as reporting_price
    from resolved
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'exchange_rates') }} as rates
        on resolved.currency_code = rates.from_currency and rates.to_currency = workspace.currency_code
        and resolved.currency_code <> workspace.currency_code and {{ in_force('rates', 'resolved.hour_start_at::date') }}
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    resource_id,
    min(source_name) as source_name,
    coalesce(min(provider), min(source_name)) as billed_by,
    min(coalesce(case when price_kind = 'gpu_hour' then gpu_model end, sku, gpu_model, node)) as sku,
    min(price_kind) as price_kind,
    min(book) as book,
    sum(microseconds)::bigint as microseconds,
    -- a price in a currency without a rate of the day is no price
    case when bool_and(reporting_price is not null)
        then {{ from_units(cost_units('sum(reporting_price * microseconds)', 3600000000)) }} end as list_cost,
    min(reporting_currency_code) as currency_code
from converted
group by hour_start_at, resource_id
