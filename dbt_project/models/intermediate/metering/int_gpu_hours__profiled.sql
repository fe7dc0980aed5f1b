-- What profiling counters say: one row per hour and GPU that has any, with the mean of each over its samples; NULL where never seen.
select
    usage_date,
    date_trunc('hour', sampled_at) as hour_start_at,
    node,
    gpu_id,
    {{ sum_hours('sm_active_ratio') }} / nullif(count(sm_active_ratio), 0) as sm_active_ratio,
    {{ sum_hours('tensor_active_ratio') }} / nullif(count(tensor_active_ratio), 0) as tensor_active_ratio,
    {{ sum_hours('dram_active_ratio') }} / nullif(count(dram_active_ratio), 0) as dram_active_ratio
from (
    select distinct usage_date, sampled_at, node, gpu_id, sm_active_ratio, tensor_active_ratio, dram_active_ratio
    from {{ ref('stg_telemetry__gpu_samples') }}
    where {{ in_build_days('usage_date') }} and instance_id is null
        and (sm_active_ratio is not null or tensor_active_ratio is not null or dram_active_ratio is not null)
)
group by all
