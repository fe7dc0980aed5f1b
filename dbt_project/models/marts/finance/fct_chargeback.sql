-- One row per period, bill, payer and component: the daily table summed by the month of usage.
select
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
from {{ ref('fct_chargeback_days') }}
group by all
