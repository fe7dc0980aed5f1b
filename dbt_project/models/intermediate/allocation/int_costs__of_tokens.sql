-- What models' consumers are charged for tokens, and what usage of a vendor will cost whose bill is not in yet: one row per day, bill, payer,
-- kind of pool, model, tenant and feature. Nothing where the dated policy `model_cost_charged_to` leaves a model's cost with its owner.
with days as (
    select build_days.usage_date, coalesce(min(policies.value), 'consumers') as model_cost_charged_to
    from {{ source('meta', 'build_days') }} as build_days
    left join {{ source('config', 'policies') }} as policies
        on policies.policy = 'model_cost_charged_to' and policies.cluster is null and policies.pool is null and {{ in_force('policies', 'build_days.usage_date') }}
    group by build_days.usage_date
),

-- a capacity list bills nothing: what a node without a bill costs by the price book bears its name
priced_nodes as (
    select distinct source_name from {{ ref('int_node_hours__priced') }} where {{ in_build_days('usage_date') }}
),

tokens as (
    select
        allocated.usage_date, allocated.source_name, allocated.billed_by, allocated.billing_period,
        -- a request that names no team leaves its cost with the owner of what served it
        coalesce(allocated.team, allocated.bill_team) as team,
        case when allocated.team is null then allocated.bill_cost_centre else allocated.cost_centre end as cost_centre,
        case when coalesce(allocated.team, allocated.bill_team) is null then 'unowned' else 'allocated' end as bucket,
        'tokens_' || allocated.pool_kind as component,
        null::varchar as cluster, null::varchar as pool, null::varchar as node,
        null::varchar as service_name, null::varchar as gpu_model, allocated.model, priced.feature as project, priced.tenant,
        null::varchar as rule, allocated.allocated_cost as cost, allocated.currency_code
    from {{ ref('int_model_days__allocated') }} as allocated
    inner join days on allocated.usage_date = days.usage_date
    inner join {{ ref('int_token_days__priced') }} as priced
        on allocated.usage_date = priced.usage_date and allocated.token_row = priced.token_row
    where days.model_cost_charged_to = 'consumers' and allocated.figure = 'allocated' and {{ in_build_days('allocated.usage_date') }}
),

-- usage of a vendor whose bill is not in yet; an own fleet's cost is on the node's bill already
estimated as (
    select
        priced.usage_date, priced.source_name, priced.provider as billed_by,
        date_trunc('month', priced.usage_date)::date as billing_period, priced.team, priced.cost_centre,
        case when priced.team is null then 'unowned' else 'allocated' end as bucket,
        'tokens_vendor' as component,
        null::varchar as cluster, null::varchar as pool, null::varchar as node,
        null::varchar as service_name, null::varchar as gpu_model, priced.model, priced.feature as project, priced.tenant,
        null::varchar as rule, priced.list_cost as cost, workspace.currency_code
    from {{ ref('int_token_days__priced') }} as priced
    cross join {{ source('config', 'workspace') }} as workspace
    where priced.pool_kind is null and priced.provider is not null and priced.list_cost is not null
        and {{ in_build_days('priced.usage_date') }}
)

select *, case when source_name in (select priced_nodes.source_name from priced_nodes) then 'estimated' else 'billed' end as basis from tokens
union all by name
select *, 'estimated' as basis from estimated
