-- Internal prices beside cost, where chargeback is not at cost: what the team's cost of the day was, the price in force, and the difference
-- that the ledger charges as component `markup`. What has no internal price, or no quantity for it, is charged at cost, and listed.
{{ config(materialized='view') }}

select
    usage_date,
    usage_period,
    team,
    cost_centre,
    component,
    gpu_model,
    model,
    token_kind,
    basis,
    unit,
    price,
    quantity,
    charged_cost,
    internal_cost,
    margin_cost,
    unpriced_reason,
    currency_code
from {{ ref('int_ledger__margins') }}
