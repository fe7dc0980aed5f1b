-- The ledger's balances by accounting period: what was debited and credited to each account, by bill, invoice and commitment. Each period, and each
-- run, adds up to 0. As known at a moment: `tollbook trial-balance --as-of`.
{{ config(materialized='view') }}

select
    accounting_period,
    account,
    billed_by,
    billing_period,
    invoice_id,
    commitment_id,
    coalesce(sum(posted_cost) filter (where posted_cost > 0), 0)::decimal(38, 12) as debit_cost,
    coalesce(-sum(posted_cost) filter (where posted_cost < 0), 0)::decimal(38, 12) as credit_cost,
    sum(posted_cost)::decimal(38, 12) as balance_cost,
    currency_code
from {{ ref('fct_postings') }}
group by all
