-- One row per experiment: its jobs, what they got done, and what an epoch cost: of all attempts, and of those that succeeded alone. An epoch done
-- again after a restart counts once, one that was lost not at all.
select
    jobs.experiment,
    count(*) as jobs,
    count(*) filter (where jobs.is_success) as succeeded_jobs,
    sum(jobs.attempts)::bigint as attempts,
    sum(jobs.retries)::bigint as retries,
    sum(jobs.preemptions)::bigint as preemptions,
    sum(jobs.epochs) as epochs,
    sum(jobs.epochs_run) as epochs_run,
    {{ sum_hours('jobs.gpu_hours') }} as gpu_hours,
    case when count(jobs.cost) = count(*) then sum(jobs.cost) end as cost,
    case when count(jobs.cost) = count(*) then coalesce(sum(jobs.success_cost), 0) end as success_cost,
    case when count(jobs.failed_cost) = count(*) then sum(jobs.failed_cost) end as failed_cost,
    case when count(jobs.lost_cost) = count(*) then sum(jobs.lost_cost) end as lost_cost,
    sum(jobs.people_cost) as people_cost,
    case when count(jobs.full_cost) = count(*) then sum(jobs.full_cost) end as full_cost,
    case when count(jobs.cost) = count(*) and sum(jobs.epochs) > 0 then sum(jobs.cost)::double / sum(jobs.epochs) end as cost_per_epoch,
    case when count(jobs.cost) = count(*) and sum(progress.epochs_of_success) > 0
        then sum(jobs.success_cost)::double / sum(progress.epochs_of_success) end as success_cost_per_epoch,
    case when count(jobs.cost) = count(*) and count(*) filter (where jobs.is_success) > 0
        then sum(jobs.cost)::double / count(*) filter (where jobs.is_success) end as cost_per_success,
    min(jobs.currency_code) as currency_code,
    min(jobs.cost_reason) as cost_reason
from {{ ref('fct_jobs') }} as jobs
left join {{ ref('int_job_progress') }} as progress
    on jobs.source_name = progress.source_name and coalesce(jobs.cluster, '') = progress.cluster and jobs.job_id = progress.job_id
where jobs.experiment is not null
group by jobs.experiment
