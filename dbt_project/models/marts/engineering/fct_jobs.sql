-- One row per job over all its attempts: how it ended, how long that took, what it got done, and its full cost: what it held (`cost`, billed),
-- what drivers and requests that name it cost, and people's time. A job that never started is there with no hours.
with attempts as (
    select
        source_name, coalesce(cluster, '') as cluster, job_id,
        {%- for column in ['job_name', 'holder_kind', 'namespace', 'account', 'model', 'tenant', 'repository', 'commit_id', 'experiment'] %}
        min_by({{ column }}, attempt) filter (where {{ column }} is not null) as {{ column }},
        {%- endfor %}
        max_by(team, attempt) filter (where team is not null) as team,
        max_by(cost_centre, attempt) filter (where cost_centre is not null) as cost_centre,
        count(*) as attempts,
        count(*) filter (where is_requeue) as requeues,
        count(*) filter (where outcome = 'preempted') as preemptions,
        count(*) filter (where outcome in ('failed', 'timed_out')) as failures,
        min(outcome) filter (where is_final) as outcome,
        min(submitted_at) as submitted_at,
        min(started_at) as first_started_at,
        case when count(*) filter (where started_at is not null and ended_at is null) = 0 then max(ended_at) end as last_ended_at,
        min(ended_at) filter (where outcome = 'succeeded') as succeeded_at,
        {%- for hours in ['gpu_hours', 'used_gpu_hours', 'cpu_hours', 'cpu_seconds', 'memory_gb_seconds', 'startup_seconds'] %}
        {{ sum_hours(hours) }} as {{ hours }},
        {%- endfor %}
        case when count(lost_gpu_hours) = count(*) then {{ sum_hours('lost_gpu_hours') }} end as lost_gpu_hours,
        {%- for cost in ['cost', 'used_cost', 'lost_cost'] %}
        case when count({{ cost }}) = count(*) then sum({{ cost }}) end as {{ cost }},
        {%- endfor %}
        sum(startup_cost) as startup_cost,
        case when count(*) filter (where is_final and outcome = 'succeeded') > 0 then min(cost) filter (where is_final) end as success_cost,
        case
            when count(*) filter (where outcome is null or (outcome in {{ unsuccessful() }} and cost is null)) = 0
                then coalesce(sum(cost) filter (where outcome in {{ unsuccessful() }}), 0)
        end as failed_cost,
        case
            when count(distinct basis) > 1 then 'partial' else min(basis)
        end as basis,
        min(cost_reason) as cost_reason,
        min(lost_reason) as lost_reason
    from {{ ref('fct_job_attempts') }}
    group by source_name, coalesce(cluster, ''), job_id
)

select
    attempts.source_name,
    nullif(attempts.cluster, '') as cluster,
    attempts.job_id,
    attempts.job_name,
    attempts.holder_kind,
    attempts.team,
    attempts.cost_centre,
    coalesce(attempts.model, progress.model) as model,
    progress.model_version,
    attempts.model is not null as is_serving,
    attempts.tenant,
    attempts.namespace,
    attempts.account,
    attempts.repository,
    coalesce(attempts.commit_id, progress.commit_id) as commit_id,
    coalesce(progress.experiment, attempts.experiment) as experiment,
    attempts.attempts,
    attempts.attempts - 1 as retries,
    attempts.requeues,
    attempts.preemptions,
    attempts.failures,
    attempts.outcome,
    attempts.outcome = 'succeeded' as is_success,
    attempts.submitted_at,
    attempts.first_started_at,
    attempts.last_ended_at,
    case when attempts.outcome = 'succeeded' then {{ microseconds_between(
        'coalesce(attempts.submitted_at, attempts.first_started_at)', 'attempts.last_ended_at'
    ) }} / 1000000.0 end as latency_seconds,
    progress.epochs,
    progress.epochs_run,
    progress.items,
    progress.items_run,
    attempts.gpu_hours,
    attempts.used_gpu_hours,
    attempts.lost_gpu_hours,
    attempts.cpu_hours,
    attempts.cpu_seconds,
    attempts.memory_gb_seconds,
    attempts.startup_seconds,
    attempts.cost,
    attempts.used_cost,
    attempts.success_cost,
    attempts.failed_cost,
    attempts.lost_cost,
    attempts.startup_cost,
    extras.api_calls,
    extras.api_cost,
    extras.storage_ops,
    extras.storage_cost,
    extras.egress_bytes,
    extras.egress_cost,
    extras.telemetry_bytes,
    extras.observability_cost,
    extras.people_minutes,
    extras.people_cost,
    extras.downstream_requests,
    extras.downstream_cost,
    -- what is not known is not 0: time of people without a rate, or a request without a price, leaves the whole unknown, as a missing bill does
    case when not coalesce(extras.has_unpriced_people, false) and not coalesce(extras.has_unpriced_requests, false) then
        attempts.cost + coalesce(extras.api_cost, 0) + coalesce(extras.storage_cost, 0) + coalesce(extras.egress_cost, 0)
        + coalesce(extras.observability_cost, 0) + coalesce(extras.people_cost, 0) + coalesce(extras.downstream_cost, 0)
    end as full_cost,
    attempts.cost::double / attempts.attempts as cost_per_attempt,
    case when attempts.gpu_hours > 0 then attempts.cost::double / attempts.gpu_hours end as cost_per_gpu_hour,
    case when progress.epochs > 0 then attempts.cost::double / progress.epochs end as cost_per_epoch,
    case when progress.items > 0 then attempts.cost::double / progress.items end as cost_per_item,
    case when progress.items > 0 then attempts.startup_cost::double / progress.items end as startup_cost_per_item,
    workspace.currency_code,
    attempts.basis,
    coalesce(
        attempts.cost_reason,
        case when extras.has_unpriced_people then 'no rate for the people''s time' end,
        case when extras.has_unpriced_requests then 'requests that it caused have no price' end
    ) as cost_reason,
    attempts.lost_reason
from attempts
cross join {{ source('config', 'workspace') }} as workspace
left join {{ ref('int_job_progress') }} as progress
    on attempts.source_name = progress.source_name and attempts.cluster = progress.cluster and attempts.job_id = progress.job_id
left join {{ ref('int_job_extras') }} as extras
    on attempts.source_name = extras.source_name and attempts.cluster = extras.cluster and attempts.job_id = extras.job_id
