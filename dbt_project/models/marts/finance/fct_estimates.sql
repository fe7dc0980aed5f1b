-- How good the price book is: one row per day, provider, SKU or model and kind of usage, once for what is billed and once for what
-- no bill names yet. Where a bill is in, error_cost is what the book said too much; where not, estimated_cost is what is charged.
{{ config(materialized='incremental', incremental_strategy='days') }}

with tokens as (
    select
        usage_date,
        'tokens' as usage_kind,
        min(provider) as provider_name,
        model as sku,
        case when pool_kind = 'vendor' then 'billed' else 'open' end as status,
        sum(token_count + coalesce(cache_write_tokens, 0))::double as quantity,
        sum(case when list_cost is null then token_count + coalesce(cache_write_tokens, 0) else 0 end)::double as unpriced_quantity,
        case when bool_and(list_cost is not null) then sum(list_cost) end as estimated_cost
    from {{ ref('int_token_days__priced') }}
    -- provisioned throughput is paid by the hour: no price of a token can be right about it
    where provider is not null and pool_kind is distinct from 'provisioned' and {{ in_build_days('usage_date') }}
    group by usage_date, lower(provider), model, pool_kind
),

token_bills as (
    select usage_date, model, lower(billed_by) as billed_by, sum(cost) as billed_cost
    from {{ ref('int_model_days__pooled') }}
    where pool_kind = 'vendor' and {{ in_build_days('usage_date') }}
    group by all
),

-- what is attached to a node is not what its price is of
node_bills as (
    select slot_start_at as hour_start_at, resource_id, sum(cost) as billed_cost
    from {{ ref('int_charges__of_nodes') }}
    where resource_id is not null and not is_attached and charge_category not in ('Tax', 'Credit', 'Adjustment')
        and {{ in_build_days('slot_start_at::date') }}
    group by all
),

nodes as (
    select
        priced.usage_date,
        priced.price_kind || 's' as usage_kind,
        priced.billed_by as provider_name,
        priced.sku,
        case when bills.billed_cost is not null then 'billed' else 'open' end as status,
        {{ sum_hours('priced.microseconds / 3600000000.0') }} as quantity,
        {{ sum_hours('case when priced.list_cost is null then priced.microseconds / 3600000000.0 else 0 end') }} as unpriced_quantity,
        case when bool_and(priced.list_cost is not null) then sum(priced.list_cost) end as estimated_cost,
        sum(bills.billed_cost) as billed_cost
    from {{ ref('int_node_hours__priced') }} as priced
    left join node_bills as bills on priced.hour_start_at = bills.hour_start_at and priced.resource_id = bills.resource_id
    where {{ in_build_days('priced.usage_date') }}
    group by all
),

together as (
    select tokens.*, bills.billed_cost
    from tokens
    left join token_bills as bills
        on tokens.usage_date = bills.usage_date and tokens.sku = bills.model and lower(tokens.provider_name) = bills.billed_by
        and tokens.status = 'billed'
    union all
    select * from nodes
)

select
    together.usage_date,
    together.usage_kind,
    together.provider_name,
    together.sku,
    together.status,
    together.quantity,
    together.unpriced_quantity,
    together.estimated_cost::decimal(38, 12) as estimated_cost,
    together.billed_cost::decimal(38, 12) as billed_cost,
    (together.estimated_cost - together.billed_cost)::decimal(38, 12) as error_cost,
    case when together.billed_cost <> 0
        then (together.estimated_cost - together.billed_cost)::double / together.billed_cost::double end as error_ratio,
    workspace.currency_code
from together
cross join {{ source('config', 'workspace') }} as workspace
