-- Jobs bear exactly what was allocated to what was held: by day on its way to the holdings' stretches, and over all days on its way to the
-- attempts. One row per step and day, or job, that differs.
select 'stretches' as step, coalesce(held.usage_date, days.usage_date)::varchar as what, held.cost, days.cost as cost_of_jobs
from (
    select usage_date, coalesce(sum(allocated_cost), 0) as cost
    from {{ ref('fct_gpu_hours') }}
    where is_held and {{ in_build_days('usage_date') }}
    group by usage_date
) as held
full join (
    select usage_date, sum(allocated_cost) as cost
    from {{ ref('int_holding_days') }}
    where {{ in_build_days('usage_date') }}
    group by usage_date
) as days
    on held.usage_date = days.usage_date
where held.cost is distinct from days.cost

union all

select 'attempts', coalesce(stretches.usage_date, attempts.usage_date)::varchar, stretches.cost, attempts.cost
from (
    select usage_date, sum(allocated_cost) as cost from {{ ref('int_holding_days') }} group by usage_date
) as stretches
full join (
    select usage_date, sum(allocated_cost) as cost from {{ ref('int_attempt_days') }} where attempt is not null group by usage_date
) as attempts
    on stretches.usage_date = attempts.usage_date
where stretches.cost is distinct from attempts.cost

union all

select 'published', coalesce(days.job_id, attempts.job_id), days.cost, attempts.cost
from (
    select source_name, cluster, job_id, case when sum(hours_without_cost) = 0 then sum(allocated_cost) end as cost
    from {{ ref('int_attempt_days') }}
    group by source_name, cluster, job_id
) as days
full join (
    select source_name, coalesce(cluster, '') as cluster, job_id, case when count(cost) = count(*) then sum(cost) end as cost
    from {{ ref('fct_job_attempts') }}
    group by source_name, coalesce(cluster, ''), job_id
) as attempts
    on days.source_name = attempts.source_name and days.cluster = attempts.cluster and days.job_id = attempts.job_id
where case when days.job_id is null then 0 else days.cost end is distinct from attempts.cost
