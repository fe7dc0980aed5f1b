-- Lines of issued statements: the postings of the month and recipient, known when it was closed, by what a line tells apart. A statement's
-- lines add up to it, exactly and as stated.
{{ config(materialized='view') }}

select
    statement_id,
    line_number,
    section,
    usage_period,
    billed_by,
    component,
    service_name,
    gpu_model,
    model,
    project,
    reason,
    charged_cost,
    stated_amount,
    currency_code
from {{ source('ledger', 'statement_lines') }}
