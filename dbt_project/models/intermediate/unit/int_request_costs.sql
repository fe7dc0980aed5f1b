-- What the requests of a day cost, but for training: one row per row of int_token_days__priced, component and bill. used_cost counts own GPUs
-- only while they worked, NULL where nobody looked. `weight_kind` is what of a single request its share goes by. Usage without a bill stands at list price, `estimated`.
with priced_nodes as (
    -- nodes whose own bill is not in yet were priced: their source sends capacity, not bills
    select distinct source_name from {{ ref('int_node_hours__priced') }} where {{ in_build_days('usage_date') }}
),

models as (
    select
        usage_date, token_row,
        case
            when pool_kind in ('vendor', 'provisioned') then 'vendor' when phase = 'all' then 'serving' else 'serving_' || phase
        end as component,
        source_name, billed_by, billing_period, split_method,
        case when phase <> 'all' then phase when split_method = 'list_price' then 'list_price' else 'tokens' end as weight_kind,
        case when source_name in (select priced_nodes.source_name from priced_nodes) then 'estimated' else 'billed' end as basis,
        sum(allocated_cost) filter (where figure = 'allocated') as cost,
        case when pool_kind in ('vendor', 'provisioned') then sum(allocated_cost) else sum(allocated_cost) filter (where figure = 'used') end as used_cost
    from {{ ref('int_model_days__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by usage_date, token_row, pool_kind, phase, source_name, billed_by, billing_period, split_method
),

unbilled as (
    select
        usage_date, token_row,
        case when provider is null then 'serving' else 'vendor' end as component,
        source_name, provider as billed_by, date_trunc('month', usage_date)::date as billing_period,
        'list_price' as split_method, 'list_price' as weight_kind, 'estimated' as basis, list_cost as cost, list_cost as used_cost
    from {{ ref('int_token_days__priced') }}
    where pool_kind is null and list_cost is not null and {{ in_build_days('usage_date') }}
),

supporting as (
    select
        usage_date, token_row, component, source_name, billed_by, billing_period, 'rule ' || rule_id as split_method, share_by as weight_kind,
        case when source_name in (select priced_nodes.source_name from priced_nodes) then 'estimated' else 'billed' end as basis,
        sum(allocated_cost) as cost, sum(allocated_cost) as used_cost
    from {{ ref('int_supporting_costs__shared') }}
    where {{ in_build_days('usage_date') }}
    group by all
)

select * from models
union all by name
select * from unbilled
union all by name
select * from supporting
