-- What each attempt held and was allocated: one row per day, attempt, kind of place, and what became of it. `fate`: useful (it succeeded, or its
-- work was saved), lost (since the last moment that saved work, or the start, of an attempt that did not succeed), running, or unknown, where
-- nobody said how it ended. `is_startup`: before the first thing that the attempt got done.
{{ config(materialized='table') }}

with progress as (
    select
        source_name, cluster, job_id, attempt,
        min(finished_at) as first_work_at,
        max(finished_at) filter (where is_saved) as saved_until_at
    from {{ ref('int_job_work') }}
    group by source_name, cluster, job_id, attempt
),

attempts as (
    select attempts.*, progress.first_work_at, progress.saved_until_at
    from {{ ref('int_job_attempts') }} as attempts
    left join progress
        on attempts.source_name = progress.source_name and attempts.cluster = progress.cluster and attempts.job_id = progress.job_id
        and attempts.attempt = progress.attempt
),

-- a holding that names no cluster is known by the one where its node is
holdings as (
    select days.*, coalesce(exact.cluster, anywhere.cluster) as job_cluster, coalesce(exact.job_id, anywhere.job_id) as job_id,
        coalesce(exact.attempt, anywhere.attempt) as attempt
    from {{ ref('int_holding_days') }} as days
    left join {{ ref('int_job_holdings') }} as exact
        on days.source_name = exact.source_name and days.cluster = exact.cluster and days.holding_id = exact.holding_id
    left join {{ ref('int_job_holdings') }} as anywhere
        on days.source_name = anywhere.source_name and anywhere.cluster = '' and days.holding_id = anywhere.holding_id
)

select
    holdings.usage_date,
    holdings.source_name,
    holdings.job_cluster as cluster,
    holdings.job_id,
    holdings.attempt,
    holdings.cluster as place_cluster,
    holdings.pool,
    holdings.gpu_model,
    holdings.purchase_option,
    case
        when holdings.stretch_end_at <= attempts.saved_until_at or attempts.outcome = 'succeeded' then 'useful'
        when attempts.outcome in {{ unsuccessful() }} then 'lost'
        when attempts.outcome in ('running', 'pending') then 'running'
        else 'unknown'
    end as fate,
    coalesce(holdings.stretch_end_at <= attempts.first_work_at, false) as is_startup,
    bool_or(holdings.is_estimated) as is_estimated,
    bool_and(holdings.is_estimated) as is_all_estimated,
    sum(holdings.allocated_cost) as allocated_cost,
    sum(holdings.used_cost) as used_cost,
    sum(holdings.gpu_hours) as gpu_hours,
    sum(holdings.used_gpu_hours) as used_gpu_hours,
    sum(holdings.cpu_hours) as cpu_hours,
    sum(holdings.memory_gb_hours) as memory_gb_hours,
    sum(holdings.hours_without_cost) as hours_without_cost,
    sum(holdings.hours_seen) as hours_seen,
    min(holdings.cost_reason) as cost_reason
from holdings
left join attempts
    on holdings.source_name = attempts.source_name and holdings.job_cluster = attempts.cluster and holdings.job_id = attempts.job_id
    and holdings.attempt = attempts.attempt
group by all
