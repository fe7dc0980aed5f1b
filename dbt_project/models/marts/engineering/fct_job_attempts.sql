-- One row per attempt of a job: how it ended, what it held and used, what that cost, and what of it was lost. Σ cost over attempts is all that
-- was allocated to what was held.
with days as (
    select
        source_name, cluster, job_id, attempt,
        sum(allocated_cost) as known_cost,
        sum(used_cost) as used_cost,
        sum(allocated_cost) filter (where fate = 'lost') as lost_cost,
        sum(allocated_cost) filter (where is_startup) as startup_cost,
        {%- for hours in ['gpu_hours', 'used_gpu_hours', 'cpu_hours', 'memory_gb_hours'] %}
        sum({{ hours }})::double as {{ hours }},
        {%- endfor %}
        (sum(gpu_hours) filter (where fate = 'lost'))::double as lost_gpu_hours,
        sum(hours_without_cost) as hours_without_cost,
        sum(hours_seen) as hours_seen,
        bool_and(is_all_estimated) as is_all_estimated,
        bool_or(is_estimated) as is_estimated,
        min(cost_reason) as cost_reason,
        case when count(distinct purchase_option) > 1 then 'mixed' else min(purchase_option) end as purchase_option,
        case when count(distinct gpu_model) > 1 then 'mixed' else min(gpu_model) end as gpu_model
    from {{ ref('int_attempt_days') }}
    group by source_name, cluster, job_id, attempt
),

-- what a pod is called by usage: its UID or namespace/name
names as (
    select distinct holdings.source_name, holdings.cluster, holdings.job_id, holdings.attempt, held.name_used
    from {{ ref('int_job_holdings') }} as holdings
    inner join (
        select distinct
            source_name, coalesce(cluster, '') as cluster, holding_id,
            {{ unfolded({'name_used': ['holding_id', "namespace || '/' || name"]}) }}
        from {{ ref('stg_telemetry__holdings') }}
        where exists (select 1 from {{ ref('int_holder_usage_days') }})
    ) as held
        on holdings.source_name = held.source_name and holdings.cluster = held.cluster and holdings.holding_id = held.holding_id
),

used as (
    select names.source_name, names.cluster, names.job_id, names.attempt, sum(usage.cpu_seconds)::double as cpu_seconds,
        sum(usage.memory_gb_seconds)::double as memory_gb_seconds
    from names
    inner join {{ ref('int_holder_usage_days') }} as usage on names.name_used = usage.holding_id
    group by all
),

progress as (
    select source_name, cluster, job_id, attempt, min(finished_at) as first_work_at, max(finished_at) filter (where is_saved) as saved_until_at
    from {{ ref('int_job_work') }}
    group by source_name, cluster, job_id, attempt
)

select
    attempts.source_name,
    nullif(attempts.cluster, '') as cluster,
    attempts.job_id,
    attempts.attempt,
    attempts.name as job_name,
    attempts.holder_kind,
    attempts.team,
    attempts.cost_centre,
    attempts.model,
    attempts.tenant,
    attempts.namespace,
    attempts.account,
    attempts.pool,
    attempts.repository,
    attempts.commit_id,
    attempts.experiment,
    attempts.submitted_at,
    attempts.started_at,
    attempts.ended_at,
    attempts.outcome,
    attempts.is_final,
    not attempts.is_first as is_retry,
    attempts.is_requeue,
    attempts.holdings,
    days.gpu_model,
    days.purchase_option,
    days.purchase_option in ('spot', 'preemptible', 'low_priority') as is_spot,
    coalesce(days.gpu_hours, 0) as gpu_hours,
    case when days.hours_seen > 0 then days.used_gpu_hours end as used_gpu_hours,
    coalesce(days.cpu_hours, 0) as cpu_hours,
    days.memory_gb_hours,
    used.cpu_seconds,
    used.memory_gb_seconds,
    -- what never started, or ended as it started, held nothing
    case when days.job_id is null then 0::decimal(38, 12) when days.hours_without_cost = 0 then days.known_cost end as cost,
    case when days.hours_without_cost = 0 and days.hours_seen > 0 then days.used_cost end as used_cost,
    progress.saved_until_at,
    case
        when days.job_id is null then 0::decimal(38, 12)
        when days.hours_without_cost > 0 or attempts.outcome is null then null
        else coalesce(days.lost_cost, 0)
    end as lost_cost,
    case when days.job_id is null then 0 when attempts.outcome is not null then coalesce(days.lost_gpu_hours, 0) end as lost_gpu_hours,
    case
        when days.job_id is null then null
        when attempts.outcome is null then 'nobody said how the attempt ended'
        when days.hours_without_cost > 0 then days.cost_reason
    end as lost_reason,
    {{ microseconds_between('attempts.submitted_at', 'attempts.started_at') }} / 1000000.0 as queue_seconds,
    case when progress.first_work_at is not null
        then greatest({{ microseconds_between('attempts.started_at', 'progress.first_work_at') }} / 1000000.0, 0) end as startup_seconds,
    case when progress.first_work_at is not null and days.hours_without_cost = 0 then coalesce(days.startup_cost, 0) end as startup_cost,
    workspace.currency_code,
    case
        when days.job_id is null then null
        when days.hours_without_cost > 0 and days.known_cost = 0 then 'unpriced'
        when days.hours_without_cost > 0 or (days.is_estimated and not days.is_all_estimated) then 'partial'
        when days.is_estimated then 'estimated'
        else 'billed'
    end as basis,
    days.cost_reason
from {{ ref('int_job_attempts') }} as attempts
cross join {{ source('config', 'workspace') }} as workspace
left join days
    on attempts.source_name = days.source_name and attempts.cluster = days.cluster and attempts.job_id = days.job_id
    and attempts.attempt = days.attempt
left join used
    on attempts.source_name = used.source_name and attempts.cluster = used.cluster and attempts.job_id = used.job_id
    and attempts.attempt = used.attempt
left join progress
    on attempts.source_name = progress.source_name and attempts.cluster = progress.cluster and attempts.job_id = progress.job_id
    and attempts.attempt = progress.attempt
