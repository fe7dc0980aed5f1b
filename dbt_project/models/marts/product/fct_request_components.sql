-- One row per day, properties of requests, component and bill: what requests cost in all, in parts that add up.
{% set dimensions = request_dimensions() | reject('in', ['is_success', 'is_retry', 'is_cold', 'is_cached', 'batch_band']) | list -%}

with costs as (
    select usage_date, token_row, component, source_name, billed_by, billing_period, split_method, basis, cost, used_cost
    from {{ ref('int_request_costs') }}

    union all

    select
        usage_date, token_row, 'training' as component, null as source_name, null as billed_by, null as billing_period,
        'rule ' || rule_id || ', by ' || amortise_by as split_method, 'billed' as basis, allocated_cost as cost, allocated_cost as used_cost
    from {{ ref('int_training__shared') }}
)

select
    costs.usage_date,
    {% for name in dimensions %}tokens.{{ name }}{{ ' as provider_name' if name == 'provider' }},
    {% endfor -%}
    costs.component,
    costs.source_name as bill_source_name,
    costs.billed_by,
    costs.billing_period,
    costs.split_method,
    costs.basis,
    sum(tokens.request_count)::bigint as request_count,
    sum(costs.cost) as cost,
    case when bool_and(costs.used_cost is not null) then sum(costs.used_cost) end as used_cost,
    workspace.currency_code
from costs
inner join {{ ref('int_token_days__priced') }} as tokens on costs.usage_date = tokens.usage_date and costs.token_row = tokens.token_row
cross join {{ source('config', 'workspace') }} as workspace
group by all
