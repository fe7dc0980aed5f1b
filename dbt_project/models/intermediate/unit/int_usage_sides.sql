-- Log, vendor and bill side by side: one row per day, provider, model (its family, by which they find each other) and service tier, where
-- all that are there tell it; lines that name no model by service. `vendor_basis` says whose count stands for the vendor: its `usage`
-- report from its first day to its last, else the quantities on its `bill`.
{{ config(materialized='table') }}

{%- set tokens = ['input_tokens', 'cached_input_tokens', 'cache_write_tokens', 'output_tokens'] %}

with model_services as (
    select distinct lower(trim(billed_by)) as provider_key, service_name from {{ ref('int_usage_bills') }} where model is not null
),

bills as (
    select
        bills.*,
        lower(trim(bills.billed_by)) as provider_key,
        {{ model_family('coalesce(' ~ alias_of('bills.billed_by', 'bills.model', 'bills.usage_date') ~ ', bills.model)') }} as model_family,
        {{ service_tier('bills.service_tier') }} as tier,
        coalesce(trim(bills.service_tier), '') <> '' as is_tier_told
    from {{ ref('int_usage_bills') }} as bills
    inner join model_services as services
        on lower(trim(bills.billed_by)) = services.provider_key and bills.service_name is not distinct from services.service_name
),

reported as (
    select provider_key, min(usage_date) as first_date, max(usage_date) as last_date
    from {{ ref('int_usage_days__priced') }}
    where side = 'vendor'
    group by 1
),

bill_reach as (
    select provider_key, max(usage_date) as last_date from {{ ref('int_usage_days__priced') }} where side = 'bill' group by 1
),

usage_rows as (
    select
        days.* exclude (side),
        case when days.side = 'log' then 'log' else 'vendor' end as side,
        case days.side when 'vendor' then 'usage' when 'bill' then 'bill' end as vendor_basis
    from {{ ref('int_usage_days__priced') }} as days
    left join reported on days.provider_key = reported.provider_key
    where days.side <> 'bill' or not coalesce(days.usage_date between reported.first_date and reported.last_date, false)
),

present as (
    select usage_date, provider_key, model_family, side, service_tier, is_tier_told from usage_rows
    union
    select usage_date, provider_key, model_family, 'billed', tier, is_tier_told from bills where model is not null
),

by_tier as (
    select
        usage_date,
        provider_key,
        model_family,
        -- a bill that names no tier is of the standard one, if the vendor counted no other
        bool_or(is_tier_told) and bool_or(is_tier_told) filter (where side = 'log') is not false and bool_or(is_tier_told) filter (where side = 'vendor') is not false
        and (
            bool_or(is_tier_told) filter (where side = 'billed') is not false
            or count(distinct service_tier) filter (where side = 'vendor') = 0
        ) as is_by_tier
    from present
    group by all
),

sides as (
    select
        usage_rows.usage_date, usage_rows.provider_key, usage_rows.model_family, null::varchar as service_name,
        case when by_tier.is_by_tier then coalesce(usage_rows.service_tier, 'standard') end as service_tier,
        case when side = 'log' then provider end as log_provider, case when side = 'vendor' then provider end as vendor_provider,
        case when side = 'log' then named_model end as log_name, case when side = 'vendor' then named_model end as vendor_name,
        {% for side in ['log', 'vendor'] %}side = '{{ side }}' as is_{{ side }},
        {% for column in tokens + ['request_count', 'list_cost'] %}case when side = '{{ side }}' then {{ column }} end as {{ side }}_{{ column }},
        {% endfor %}side = '{{ side }}' and list_cost is null as is_{{ side }}_unpriced,
        {% endfor %}
        failed_request_count, failed_with_tokens_count, cached_answer_count, is_price_inexact, is_sampled, vendor_basis,
        null::decimal(38, 20) as billed_cost, null::bigint as billed_line_count, null::date as billing_period, null::varchar as invoice_id,
        null::varchar as billing_currency, null::varchar as invoice_issuer_name
    from usage_rows
    inner join by_tier
        on usage_rows.usage_date = by_tier.usage_date and usage_rows.provider_key = by_tier.provider_key
        and usage_rows.model_family = by_tier.model_family

    union all by name

    select
        bills.usage_date, bills.provider_key, bills.model_family, case when bills.model is null then bills.service_name end as service_name,
        case when by_tier.is_by_tier then coalesce(bills.tier, 'standard') end as service_tier,
        bills.billed_by as vendor_provider, bills.model as vendor_name, false as is_log, false as is_vendor,
        bills.cost as billed_cost, bills.line_count as billed_line_count, bills.billing_period, bills.invoice_id, bills.billing_currency,
        bills.invoice_issuer_name
    from bills
    left join by_tier
        on bills.usage_date = by_tier.usage_date and bills.provider_key = by_tier.provider_key and bills.model_family = by_tier.model_family
)

select
    sides.usage_date, sides.provider_key, sides.model_family, sides.service_name, sides.service_tier,
    coalesce(min(log_provider), min(vendor_provider)) as provider_name,
    bool_or(is_log) as is_log, bool_or(is_vendor) as is_vendor,
    {{ distinct_in_order('log_name') }} as log_names, {{ distinct_in_order('vendor_name') }} as vendor_names,
    {% for side in ['log', 'vendor'] %}{% for column in tokens + ['request_count'] %}
    sum({{ side }}_{{ column }})::bigint as {{ side }}_{{ column }},
    {%- endfor %}
    case when not bool_or(coalesce(is_{{ side }}_unpriced, false)) then sum({{ side }}_list_cost) end::decimal(38, 12) as {{ side }}_list_cost,
    {%- endfor %}
    coalesce(sum(failed_request_count), 0)::bigint as failed_request_count,
    coalesce(sum(failed_with_tokens_count), 0)::bigint as failed_with_tokens_count,
    coalesce(sum(cached_answer_count), 0)::bigint as cached_answer_count,
    coalesce(bool_or(is_price_inexact), false) as is_price_inexact, coalesce(bool_or(is_sampled), false) as is_sampled,
    min(vendor_basis) as vendor_basis,
    sum(billed_cost)::decimal(38, 20) as billed_cost, coalesce(sum(billed_line_count), 0)::bigint as billed_line_count,
    min(billing_period) as billing_period, count(distinct billing_period) as billing_period_count,
    {{ distinct_in_order('invoice_id') }} as invoice_id, {{ distinct_in_order('billing_currency') }} as billing_currency,
    min(invoice_issuer_name) as invoice_issuer_name,
    max(coalesce(reported.last_date, bill_reach.last_date)) as vendor_known_to
from sides
left join reported on sides.provider_key = reported.provider_key
left join bill_reach on sides.provider_key = bill_reach.provider_key
group by 1, 2, 3, 4, 5
