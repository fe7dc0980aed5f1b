-- One row per GPU and moment of measurement; sm_ratio is the device's, whoever shares it.
select
    samples.source_name,
    samples.sampled_at,
    samples.sampled_at::date as usage_date,
    samples.node,
    samples.gpu_id,
    samples.sm_ratio,
    samples.memory_ratio,
    samples.power_watts
from {{ source('raw', 'gpu_samples') }} as samples
