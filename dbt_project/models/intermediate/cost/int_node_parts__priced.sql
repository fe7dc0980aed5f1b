-- What nodes cost by the price book: one row per hour (or part of it, int_hour_parts) and resource of the capacity list for which a book
-- has a price: the price at the first moment the node existed in it, times how long it did.
{{ config(materialized='table') }}

with capacity as (
    select *, bool_or(gpu_id is not null) over (partition by cluster, node) as lists_gpus
    from {{ ref('stg_telemetry__capacity') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

-- only nodes that some book has a price for are looked at hour by hour
hours as (
    select
        * replace (
            case when gpu_id is null and lists_gpus then 0 else gpu_count end as gpu_count,
            lower(trim(region)) as region
        ),
        {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from capacity
    where resource_id in (select prices.resource_id from {{ ref('int_prices__of_nodes') }} as prices)
),

timed as (
    select
        hours.*,
        coalesce(parts.part_start_at, hours.hour_start_at) as part_start_at,
        coalesce(parts.part_end_at, hours.hour_start_at + interval 1 hour) as part_end_at,
        greatest(hours.started_at, coalesce(parts.part_start_at, hours.hour_start_at)) as from_at,
        least(hours.ended_at, coalesce(parts.part_end_at, hours.hour_start_at + interval 1 hour)) as until_at
    from hours
    left join {{ ref('int_hour_parts') }} as parts
        on hours.hour_start_at = parts.hour_start_at and hours.resource_id = parts.resource_id
    where {{ in_build_days('hours.hour_start_at::date') }}
),

{% set part = ['hour_start_at', 'part_start_at', 'part_end_at', 'resource_id', 'node'] -%}

existed as (
    select
        {{ part | join(', ') }}, min(from_at) as existed_from_at, min(source_name) as source_name, max(sku) as sku,
        max(gpu_model) as gpu_model, max(region) as region, max({{ node_tier('purchase_option') }}) as service_tier,
        sum(node_microseconds)::bigint as node_microseconds, sum(gpu_microseconds)::bigint as gpu_microseconds
    from (
        select
            *,
            {{ newly_covered('from_at', 'until_at', part) }} as node_microseconds,
            -- what lists a time without GPUs (a down time) takes none away
            gpu_count * {{ newly_covered('from_at', 'until_at', part + ['gpu_id', 'gpu_count > 0']) }} as gpu_microseconds
        from timed
        where from_at < until_at
    )
    group by {{ part | join(', ') }}
),

resolved as (
    select
        existed.*, prices.provider, prices.price_kind, prices.book, prices.unit_price, prices.currency_code,
        case when prices.price_kind = 'node_hour' then existed.node_microseconds else existed.gpu_microseconds end as microseconds
    from existed
    inner join {{ ref('int_prices__of_nodes') }} as prices
        on existed.resource_id = prices.resource_id and existed.node = prices.node
        and existed.service_tier is not distinct from prices.service_tier
        -- what the node is in this part: it may be something else in the next
        and case prices.named_by
            when 'sku' then prices.name = lower(trim(existed.sku))
            when 'gpu_model' then prices.name = lower(trim(existed.gpu_model))
            else true
        end
        and (prices.region is null or prices.region = existed.region)
        and {{ price_holds('prices', 'existed.existed_from_at') }}
        and (prices.price_kind = 'node_hour' or existed.gpu_microseconds > 0)
    left join {{ source('config', 'price_books') }} as ranks
        on prices.book = lower(trim(ranks.book)) and {{ in_force('ranks', 'existed.hour_start_at::date') }}
    qualify row_number() over (
        partition by {% for column in part %}existed.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
        order by {{ price_order('prices', 'ranks', 'prices.closeness') }}
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
    part_start_at,
    part_end_at,
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
group by hour_start_at, part_start_at, part_end_at, resource_id
