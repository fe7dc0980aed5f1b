-- One row per repository and commit: the jobs that ran for it (CI by the commit in their labels, others by their work), all attempts.
select
    repository,
    commit_id,
    count(*) as jobs,
    count(*) filter (where is_success) as succeeded_jobs,
    sum(attempts)::bigint as attempts,
    sum(retries)::bigint as retries,
    min(coalesce(submitted_at, first_started_at)) as first_submitted_at,
    max(last_ended_at) as last_ended_at,
    {{ sum_hours('gpu_hours') }} as gpu_hours,
    {{ sum_hours('cpu_hours') }} as cpu_hours,
    case when count(cost) = count(*) then sum(cost) end as cost,
    case when count(cost) = count(*) then coalesce(sum(success_cost), 0) end as success_cost,
    case when count(failed_cost) = count(*) then sum(failed_cost) end as failed_cost,
    case when count(full_cost) = count(*) then sum(full_cost) end as full_cost,
    min(currency_code) as currency_code,
    min(cost_reason) as cost_reason
from {{ ref('fct_jobs') }}
where commit_id is not null
group by repository, commit_id
