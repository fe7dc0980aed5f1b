-- What the samples are asked for: one row per GPU (NULL: all GPUs of the node together) and stretch in which its holders are the same.
select distinct
    usage_date,
    hour_start_at,
    node,
    gpu_id,
    segment_start_at as span_start_at,
    segment_end_at as span_end_at
from {{ ref('int_slot_segments') }}
where basis = 'gpu' and slot_level in ('gpu', 'node') and {{ in_build_days('usage_date') }}
