-- One row per GPU, MIG instance or process and moment of measurement. What the device reports once for all who share it may stand in many
-- rows; only process_sm_ratio is one holder's own.
select
    samples.source_name,
    samples.sampled_at,
    samples.sampled_at::date as usage_date,
    samples.node,
    samples.gpu_id,
    samples.instance_id,
    samples.holding_id,
    samples.process,
    coalesce(samples.sm_ratio, samples.sm_active_ratio) as activity_ratio,
    samples.process_sm_ratio,
    samples.sm_active_ratio,
    samples.tensor_active_ratio,
    samples.dram_active_ratio,
    samples.memory_ratio,
    samples.xid
from {{ source('raw', 'gpu_samples') }} as samples
