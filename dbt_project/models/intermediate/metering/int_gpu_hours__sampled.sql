-- What was seen: one row per hour and GPU with its mean utilisation. No sample, no row: absent is unknown, never idle.
-- A repeated sample of one moment counts once.
select
    usage_date,
    hour_start_at,
    gpu_id,
    sum(sm_ratio::decimal(9, 6))::double / nullif(count(sm_ratio), 0) as gpu_utilization_ratio,
    count(*) as sample_count
from (
    select
        usage_date,
        date_trunc('hour', sampled_at) as hour_start_at,
        gpu_id,
        sampled_at,
        max(sm_ratio) as sm_ratio
    from {{ ref('stg_telemetry__gpu_samples') }}
    where {{ in_build_days('usage_date') }}
    group by all
)
group by all
