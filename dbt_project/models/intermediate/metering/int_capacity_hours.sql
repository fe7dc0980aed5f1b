-- What existed: one row per hour and GPU (where GPUs are listed) or node, with how long it was up and down.
-- A node listed with its GPUs one by one and once as a whole counts its GPUs once.
with capacity as (
    select
        *,
        bool_or(gpu_id is not null) over (partition by cluster, node) as lists_gpus
    from {{ ref('stg_telemetry__capacity') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

hours as (
    select
        *,
        {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from capacity
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    cluster,
    pool,
    node,
    gpu_id,
    resource_id,
    max(gpu_model) as gpu_model,
    sum(case when state = 'up' then gpu_weight * microseconds else 0 end)::bigint as gpu_up_microseconds,
    sum(case when state <> 'up' then gpu_weight * microseconds else 0 end)::bigint as gpu_down_microseconds,
    sum(case when state = 'up' then cpu_count * microseconds else 0 end)::bigint as cpu_up_microseconds,
    sum(case when state <> 'up' then cpu_count * microseconds else 0 end)::bigint as cpu_down_microseconds
from (
    select
        *,
        case when gpu_id is null and lists_gpus then 0 else gpu_count end as gpu_weight,
        {{ overlap_microseconds('started_at', 'ended_at', 'hour_start_at', 'hour') }} as microseconds
    from hours
)
where {{ in_build_days('hour_start_at::date') }}
group by all
