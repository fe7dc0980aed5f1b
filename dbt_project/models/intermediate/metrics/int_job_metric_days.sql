-- What attempts of jobs held, by day: one row per day, job and attempt, with their part of the fixed costs that cost sharing gives to their team.
-- What serves a model is not a job: its cost is that of inferences.
{{ config(materialized='table') }}

select
    days.usage_date,
    attempts.job_name as workload,
    attempts.holder_kind,
    attempts.team,
    attempts.cost_centre,
    attempts.cluster,
    attempts.account,
    attempts.namespace,
    attempts.experiment,
    days.allocated_cost as cost,
    case when days.is_startup then days.allocated_cost end as startup_cost,
    attempts.startup_seconds is not null as start_is_known,
    days.allocated_cost::double * coalesce(overhead.overhead_ratio, 0) as overhead_cost,
    days.hours_without_cost,
    days.cost_reason,
    case
        when days.hours_without_cost > 0 or (days.is_estimated and not days.is_all_estimated) then 'partial'
        when days.is_estimated then 'estimated'
        else 'billed'
    end as basis
from {{ ref('int_attempt_days') }} as days
inner join {{ ref('fct_job_attempts') }} as attempts
    on days.source_name = attempts.source_name and days.cluster = coalesce(attempts.cluster, '') and days.job_id = attempts.job_id
    and days.attempt = attempts.attempt
left join {{ ref('int_overhead_days') }} as overhead on days.usage_date = overhead.usage_date and attempts.team = overhead.team
where attempts.model is null
