-- One row per day, bill, payer and component: what is charged after shared costs are shared out. Sums to effective cost, buckets
-- included. What config/cost_sharing.csv moves is a component of its own (`shared: idle`): minus where it was, plus where it went.
{{ config(materialized='incremental', incremental_strategy='days') }}

select
    usage_date,
    usage_period,
    billing_period,
    billed_by,
    source_name,
    team,
    cost_centre,
    bucket,
    component,
    basis,
    sum(charged_cost) as charged_cost,
    currency_code
from (
    select
        usage_date, usage_period, billing_period, billed_by, source_name, team, cost_centre, bucket, component, basis, charged_cost,
        currency_code
    from {{ ref('int_costs__charged') }}
    where {{ in_build_days('usage_date') }}
    union all
    select
        usage_date, usage_period, billing_period, billed_by, source_name, team, cost_centre, bucket, component, basis,
        moved_cost as charged_cost, currency_code
    from {{ ref('int_costs__shared') }}
    where entry <> 'kept' and {{ in_build_days('usage_date') }}
)
group by all
