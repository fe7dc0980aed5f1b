-- int_chargeback_days summed by the month of usage.
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
    sum(charged_cost) as charged_cost,
    currency_code
from {{ ref('int_chargeback_days') }}
group by all
