-- One row per job: its attempts, what they held, and what they cost. A job that never started is there with no hours.
with attempts as (
    select
        holdings.source_name,
        holdings.job_id,
        min(holdings.cluster) as cluster,
        min(holdings.holder_kind) as holder_kind,
        min(holdings.name) as name,
        count(distinct holdings.holding_id) as attempts,
        arg_max(holdings.outcome, coalesce(holdings.ended_at, holdings.started_at, holdings.submitted_at, timestamp '1970-01-01'))
            as outcome,
        arg_max(owned.team, holdings.holding_date) as team,
        arg_max(owned.cost_centre, holdings.holding_date) as cost_centre,
        min(holdings.submitted_at) as submitted_at,
        min(holdings.started_at) as first_started_at,
        case when not bool_or(holdings.is_open) then max(holdings.ended_at) end as last_ended_at
    from {{ ref('stg_telemetry__holdings') }} as holdings
    left join {{ ref('int_holdings__owned') }} as owned
        on holdings.source_name = owned.source_name and holdings.cluster is not distinct from owned.cluster
        and holdings.holding_id = owned.holding_id and holdings.node is not distinct from owned.node
        and holdings.started_at is not distinct from owned.started_at
    group by holdings.source_name, holdings.job_id
),

hours as (
    select
        source_name,
        job_id,
        {{ sum_hours('gpu_hours') }} as gpu_hours,
        {{ sum_hours('cpu_hours') }} as cpu_hours,
        case when sum(hours_without_cost) = 0 then sum(allocated_cost) end as allocated_cost,
        min(cost_reason) as cost_reason
    from {{ ref('int_job_days') }}
    group by source_name, job_id
)

select
    attempts.job_id,
    attempts.source_name,
    attempts.cluster,
    attempts.holder_kind,
    attempts.name,
    attempts.team,
    attempts.cost_centre,
    attempts.attempts,
    attempts.outcome,
    attempts.submitted_at,
    attempts.first_started_at,
    attempts.last_ended_at,
    coalesce(hours.gpu_hours, 0) as gpu_hours,
    coalesce(hours.cpu_hours, 0) as cpu_hours,
    -- what never started, or ended as it started, held nothing
    case when hours.job_id is null then 0::decimal(38, 12) else hours.allocated_cost end as allocated_cost,
    workspace.currency_code,
    case when hours.gpu_hours > 0 then hours.allocated_cost::double / hours.gpu_hours end as cost_per_gpu_hour,
    hours.cost_reason
from attempts
cross join {{ source('config', 'workspace') }} as workspace
left join hours on attempts.source_name = hours.source_name and attempts.job_id = hours.job_id
