-- int_chargeback_days summed by the month of usage.
{{ config(materialized='view') }}

select
    {{ chargeback_columns() }},
    sum(charged_cost) as charged_cost,
    currency_code
from {{ ref('int_chargeback_days') }}
group by all
