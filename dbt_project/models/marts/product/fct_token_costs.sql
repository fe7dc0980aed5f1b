-- One row per day, provider, model, team, tenant and feature: requests, tokens and what they cost. `vendor_cost` is from the
-- vendor's bill (or the price book: `estimated`), `serving_cost` from the GPUs that served; unpriced is NULL, never 0.
{{ config(materialized='incremental', incremental_strategy='days') }}

with allocated as (
    select
        usage_date,
        token_row,
        pool_kind,
        sum(allocated_cost) as allocated_cost,
        -- nodes whose own bill is not in yet were priced: their source sends capacity, not bills
        bool_or(source_name in (select priced.source_name from {{ ref('int_node_hours__priced') }} as priced)) as is_estimated
    from {{ ref('int_model_days__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

costed as (
    select
        tokens.*,
        allocated.pool_kind as paid_as,
        allocated.is_estimated,
        case
            when allocated.pool_kind = 'vendor' then allocated.allocated_cost
            when allocated.pool_kind is null and tokens.provider is not null then tokens.list_cost
        end as vendor_cost,
        case
            when allocated.pool_kind = 'self_hosted' then allocated.allocated_cost
            when allocated.pool_kind is null and tokens.provider is null then tokens.list_cost
        end as serving_cost
    from {{ ref('int_token_days__priced') }} as tokens
    left join allocated
        on tokens.usage_date = allocated.usage_date and tokens.token_row = allocated.token_row
    where {{ in_build_days('tokens.usage_date') }}
)

select
    costed.usage_date,
    costed.source_name,
    costed.provider as provider_name,
    costed.model,
    costed.team,
    costed.tenant,
    costed.feature,
    costed.request_count,
    costed.input_tokens,
    costed.cached_input_tokens,
    costed.output_tokens,
    costed.reasoning_tokens,
    costed.token_count,
    costed.vendor_cost,
    costed.serving_cost,
    coalesce(costed.vendor_cost, costed.serving_cost) as full_cost,
    workspace.currency_code,
    case
        when costed.token_count > 0
            then coalesce(costed.vendor_cost, costed.serving_cost)::double * 1000000 / costed.token_count
    end as cost_per_million_tokens,
    case
        when costed.paid_as is not null and not costed.is_estimated then 'billed'
        when costed.paid_as is not null then 'estimated'
        when costed.list_cost is not null then 'estimated'
        else 'unpriced'
    end as basis,
    case
        when costed.paid_as is null and costed.list_cost is null then 'no bill, and the price book lacks a price of the day'
    end as cost_reason
from costed
cross join {{ source('config', 'workspace') }} as workspace
