-- What each run charged more or less: one row per run, month of usage, month it was posted in, payer and reason. It restates what was known where
-- it went to a later month than that of usage, or where an earlier run had posted that day of that source already.
{{ config(materialized='view') }}

with charges as (
    select *, accounting_period > usage_period or min(recorded_at) over (partition by usage_date, source_name) < recorded_at as is_restatement
    from {{ ref('fct_postings') }}
    where bucket is not null
)

select
    run_id,
    recorded_at,
    usage_period,
    accounting_period,
    team,
    cost_centre,
    bucket,
    reason,
    is_restatement,
    sum(posted_cost)::decimal(38, 12) as posted_cost,
    count(*) as posting_count,
    currency_code
from charges
group by all
