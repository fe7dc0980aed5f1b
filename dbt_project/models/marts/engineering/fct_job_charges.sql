-- The cost that config/job_costs.csv attributes to jobs, charge by charge: one row per day, rule, bill, payer and job; what names no job is
-- there with the reason. A view of cost by job: who pays stays who paid.
{{ config(materialized='table') }}

with jobs as (
    {{ jobs_named(ref('int_job_charges')) }}
)

select
    charges.usage_date,
    charges.rule_id,
    charges.component,
    charges.driver,
    charges.source_name,
    charges.billed_by,
    charges.billing_period,
    charges.team,
    jobs.job_source,
    nullif(jobs.job_cluster, '') as job_cluster,
    charges.job_id,
    charges.quantity,
    charges.cost,
    charges.currency_code,
    coalesce(charges.reason, case when jobs.job_source is null then 'no such job' end) as reason
from {{ ref('int_job_charges') }} as charges
left join jobs
    on charges.usage_date = jobs.usage_date and charges.job_id = jobs.job_id and charges.named_cluster is not distinct from jobs.named_cluster
