-- The ledger's current balance by month of usage: fct_chargeback_days summed.
{{ config(materialized='view') }}

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
    sum(charged_cost)::decimal(38, 12) as charged_cost,
    currency_code
from {{ ref('fct_chargeback_days') }}
group by all
having sum(charged_cost) <> 0
