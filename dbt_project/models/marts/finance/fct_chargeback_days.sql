-- The ledger's current balance by day of usage: what is charged, in whatever month it was posted. Sums to effective cost, buckets included.
{{ config(materialized='view') }}

select
    usage_date,
    {{ chargeback_columns() }},
    sum(posted_cost)::decimal(38, 12) as charged_cost,
    currency_code
from {{ ref('fct_postings') }}
where bucket is not null
group by all
having sum(posted_cost) <> 0
