-- The ledger's current balance by month of usage: fct_chargeback_days summed.
{{ config(materialized='view') }}

select
    {{ chargeback_columns() }},
    sum(charged_cost)::decimal(38, 12) as charged_cost,
    currency_code
from {{ ref('fct_chargeback_days') }}
group by all
having sum(charged_cost) <> 0
