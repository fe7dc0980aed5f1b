-- What was billed for models by day: one row per day, bill, service, invoice, currency, model, service tier and kind of token; lines that
-- name no model are there by service. What a node's line costs is no model's. A line of several days is split by time, exactly: twelve
-- digits after the point by largest remainder, the digits past them stay with its first day. Both amounts in the reporting currency.
with node_resources as (
    select distinct resource_id from {{ ref('stg_telemetry__capacity') }}
),

lines as (
    select
        bills.*,
        {{ convert_money('bills.billed_cost', 'case when bills.billing_currency = workspace.currency_code then 1 else rates.rate end') }}
            as cost,
        row_number() over (order by bills.source_name, bills.file_name, bills.file_row) as line_number
    from {{ ref('stg_billing__lines') }} as bills
    anti join node_resources on bills.resource_id = node_resources.resource_id
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'exchange_rates') }} as rates
        on bills.billing_currency = rates.from_currency and rates.to_currency = workspace.currency_code
        and bills.billing_currency <> workspace.currency_code and {{ in_force('rates', 'bills.billed_from_date') }}
    left join {{ source('config', 'sources') }} as sources on bills.source_name = sources.source_name
    where not coalesce(sources.is_own, false)
        and {{ may_overlap_build_days('bills.charge_date', 'greatest(bills.accrues_until_at, bills.charge_period_start)') }}
),

slotted as (
    select
        * exclude (cost),
        cost as line_cost,
        cost::decimal(38, 12) as amount,
        {{ slots('charge_period_start', 'greatest(accrues_until_at, charge_period_start + interval 1 microsecond)', 'day') }} as day_start_at
    from lines
),

weighed as (
    select
        *,
        {{ overlap_microseconds('charge_period_start', 'greatest(accrues_until_at, charge_period_start + interval 1 microsecond)',
            'day_start_at', 'day') }} as microseconds
    from slotted
),

{% set kept = ['line_number', 'day_start_at', 'line_cost', 'amount', 'billed_by', 'invoice_issuer_name', 'service_name', 'billing_period',
    'invoice_id', 'billing_currency', 'model', 'sku_price_details', 'consumed_quantity', 'consumed_unit', 'charge_date'] -%}

split as (
    {{ split_exact('weighed', by=['line_number'], amount='amount', weight='microseconds', tie_break=['day_start_at'], keep=kept,
        into='cost') }}
),

told as (
    select
        * replace (
            cost::decimal(38, 20) + case when day_start_at::date = charge_date then line_cost - amount else 0 end as cost,
            nullif(trim(model), '') as model
        ),
        case when model is not null then {{ json_field('sku_price_details', 'ServiceTier') }} end as service_tier,
        case when model is not null then lower({{ json_field('sku_price_details', 'TokenType') }}) end as token_type,
        -- of a line of several days it is not known when what it counts was used
        case
            when count(*) over (partition by line_number) > 1 then null
            when lower(trim(consumed_unit)) in ('token', 'tokens') then consumed_quantity
            when regexp_full_match(lower(trim(consumed_unit)), '(1k|1000|1,000) tokens?') then consumed_quantity * 1000
            when regexp_full_match(lower(trim(consumed_unit)), '(1m|1000000|1,000,000) tokens?') then consumed_quantity * 1000000
        end::decimal(38, 6) as tokens
    from split
)

select
    day_start_at::date as usage_date,
    billed_by,
    coalesce(invoice_issuer_name, billed_by) as invoice_issuer_name,
    service_name,
    billing_period,
    invoice_id,
    billing_currency,
    model,
    service_tier,
    token_type,
    sum(cost)::decimal(38, 20) as cost,
    sum(tokens)::bigint as tokens,
    count(*) as line_count
from told
where {{ in_build_days('day_start_at::date') }}
group by all
