-- What is charged after shared costs are shared out, as the ledger keeps it: one row per day, bill, payer, component and what a statement
-- tells apart. What config/cost_sharing.csv moves is a component of its own (`shared: idle`): minus where it was, plus where it went.
select
    usage_date,
    usage_period,
    billing_period,
    source_name,
    billed_by,
    team,
    cost_centre,
    tenant,
    project,
    bucket,
    component,
    service_name,
    gpu_model,
    model,
    basis,
    rule,
    sum(charged_cost) as charged_cost,
    currency_code
from (
    select
        usage_date, usage_period, billing_period, source_name, billed_by, team, cost_centre, tenant, project, bucket, component, service_name,
        gpu_model, model, basis, rule, charged_cost, currency_code
    from {{ ref('int_costs__detailed') }}
    where {{ in_build_days('usage_date') }}
    union all
    select
        usage_date, usage_period, billing_period, source_name, billed_by, team, cost_centre, null as tenant, null as project, bucket, component,
        null as service_name, null as gpu_model, null as model, basis, 'cost_sharing/' || rule_id || '@' || rule_version as rule,
        moved_cost as charged_cost, currency_code
    from {{ ref('int_costs__shared') }}
    where entry <> 'kept' and {{ in_build_days('usage_date') }}
)
group by all
