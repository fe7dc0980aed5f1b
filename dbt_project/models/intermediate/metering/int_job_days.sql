-- One row per day and job: what it held and was allocated that day, by source, cluster and team.
select
    usage_date,
    source_name,
    coalesce(cluster, '') as cluster,
    job_id,
    {{ sum_hours('held_gpu_hours') }} as gpu_hours,
    {{ sum_hours('cpu_hours') }} as cpu_hours,
    sum(allocated_cost) as allocated_cost,
    count(*) filter (where allocated_cost is null) as hours_without_cost,
    min(cost_reason) filter (where allocated_cost is null) as cost_reason
from {{ ref('fct_gpu_hours') }}
where is_held and {{ in_build_days('usage_date') }}
group by all
