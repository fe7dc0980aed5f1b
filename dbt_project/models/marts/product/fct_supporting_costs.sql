-- One row per day, rule of config/supporting_costs.csv and bill: what requests rest on cost, how much of it requests bear, and the rest.
with shared as (
    select usage_date, rule_id, component, source_name, billed_by, billing_period, sum(allocated_cost) as shared_cost
    from {{ ref('int_supporting_costs__shared') }}
    group by all
)

select
    costs.usage_date,
    costs.rule_id,
    costs.rule_version,
    costs.component,
    costs.share_by,
    costs.among,
    costs.source_name as bill_source_name,
    costs.billed_by,
    costs.billing_period,
    costs.cost::decimal(38, 12) as cost,
    coalesce(shared.shared_cost, 0)::decimal(38, 12) as shared_cost,
    (costs.cost - coalesce(shared.shared_cost, 0))::decimal(38, 12) as rest_cost,
    case when shared.shared_cost is null then 'no request of the day has any of what it is shared by' end as rest_reason,
    costs.currency_code
from {{ ref('int_supporting_costs') }} as costs
left join shared
    on costs.usage_date = shared.usage_date and costs.rule_id = shared.rule_id and costs.component = shared.component
    and costs.source_name = shared.source_name and costs.billed_by = shared.billed_by and costs.billing_period = shared.billing_period
