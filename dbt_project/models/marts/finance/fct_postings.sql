-- The ledger, every posting ever made: one row per run, posting key and accounting period. Debits are positive, credits negative; what was known
-- at a moment is the rows recorded until then. `tollbook post` writes them, nothing changes them.
{{ config(materialized='view') }}

select
    posting_id,
    run_id,
    recorded_at,
    accounting_period,
    reason,
    account,
    usage_date,
    date_trunc('month', usage_date)::date as usage_period,
    billing_period,
    source_name,
    billed_by,
    invoice_id,
    commitment_id,
    team,
    cost_centre,
    tenant,
    project,
    bucket,
    component,
    service_name,
    gpu_model,
    model,
    basis,
    rule,
    posted_cost,
    currency_code
from {{ source('ledger', 'postings') }}
