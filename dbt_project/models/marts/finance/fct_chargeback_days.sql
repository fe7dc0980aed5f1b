-- One row per day, bill, payer and component: what is charged. Sums to effective cost, buckets included.
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
    charged_cost,
    currency_code
from {{ ref('int_costs__charged') }}
where {{ in_build_days('usage_date') }}
