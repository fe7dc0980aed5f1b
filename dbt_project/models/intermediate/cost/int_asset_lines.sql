-- The register as dated cost lines in the columns of a bill: one row per asset or running cost and day. Nobody invoices them:
-- they are effective cost without a billed one, at no list price. `component` is what it is charged as: the kind of asset or cost, or
-- disposal. A disposal belongs to the owner, not to whoever held the node on that day, so it names no resource.
-- A training run's model stands in sku_price_details; `model` stays empty, as it would charge the model's consumers.
{{ config(materialized='view') }}

with described as (
    select
        source_name, delivery_id, file_name, file_row, currency_code, resource_id, cluster, region, tags, supplier, units,
        asset_id, asset_name, model,
        asset_kind as kind,
        asset_id as sku_id,
        'depreciation: ' || replace(depreciation_method, '_', ' ') as origin
    from {{ ref('int_asset_lives') }}

    union all

    select
        source_name, delivery_id, file_name, file_row, currency_code, resource_id, cluster, region, tags, supplier, units,
        asset_id, asset_name, null as model,
        cost_kind as kind,
        cost_id as sku_id,
        cost_origin as origin
    from {{ ref('int_asset_costs') }}
),

lines as (
    select
        described.*,
        days.charge_date,
        days.cost_step,
        days.used_from_at,
        days.used_until_at,
        days.cost,
        coalesce(described.asset_name, described.resource_id, described.cluster, 'the own fleet') as thing,
        replace(described.kind, '_', ' ') as kind_name,
        case when days.cost_step = 'disposal' then 'disposal: book value less proceeds' else described.origin end as cost_origin
    from {{ ref('int_asset_days') }} as days
    inner join described
        on days.source_name = described.source_name and days.file_name = described.file_name
        and days.file_row = described.file_row
)

select
    charge_date,
    date_trunc('month', charge_date)::timestamp as billing_period_start,
    (date_trunc('month', charge_date) + interval 1 month)::timestamp as billing_period_end,
    date_trunc('month', charge_date)::date as billing_period,
    date_trunc('month', charge_date)::date as billed_from_date,
    used_from_at::timestamp as charge_period_start,
    used_until_at::timestamp as charge_period_end,
    used_until_at::timestamp as accrues_until_at,
    'Usage' as charge_category,
    case
        when cost_step = 'depreciation' then 'Depreciation of ' || thing
        when cost_step = 'disposal' then 'Disposal of ' || thing || ': book value less proceeds'
        else upper(left(kind_name, 1)) || substr(kind_name, 2) || ' of ' || thing
    end as charge_description,
    case
        when cost_step = 'disposal' then 'One-Time'
        when cost_step = 'depreciation' or origin like 'amount%' then 'Recurring'
        else 'Usage-Based'
    end as charge_frequency,
    0::decimal(38, 20) as billed_cost,
    cost::decimal(38, 20) as effective_cost,
    'own: nobody invoices it' as billed_cost_origin,
    cost_origin as effective_cost_origin,
    currency_code as billing_currency,
    'Other' as pricing_category,
    supplier as publisher_name,
    'Own ' || kind_name as service_name,
    case
        when kind in ('hardware', 'server', 'gpu') or resource_id is not null then 'Compute'
        when kind like 'edge%' then 'Internet of Things'
        when kind in ('network', 'networking', 'connectivity') then 'Networking'
        when kind = 'storage' then 'Storage'
        when kind in ('training_run', 'engineering') then 'AI and Machine Learning'
        else 'Other'
    end as service_category,
    cost_step as sku_meter,
    sku_id,
    case when model is not null then {{ json_text({'model': 'model'}) }} end as sku_price_details,
    case when cost_step <> 'disposal' then resource_id end as resource_id,
    asset_name as resource_name,
    kind_name as resource_type,
    region as region_id,
    region as region_name,
    tags,
    {{ json_text({'asset_id': 'asset_id', 'kind': 'kind', 'units': 'units', 'cluster': 'cluster'}) }} as other_columns,
    source_name as billed_by,
    case when cost_step = 'disposal' then 'disposal' else kind end as component,
    source_name,
    delivery_id,
    file_name,
    file_row
from lines
