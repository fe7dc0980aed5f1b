-- How busy each GPU was, as the device says: one row per span of int_gpu_spans that samples cover, in microseconds. A metric that is repeated
-- for all who share the GPU counts once; a sample without any activity covers nothing.
with moments as (
    select
        samples.source_name, samples.usage_date, samples.node, samples.gpu_id,
        {{ epoch_microseconds('samples.sampled_at') }} as us,
        {{ millionths('samples.activity_ratio') }} as activity
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    where {{ sampled_days('samples') }} and samples.instance_id is null and samples.activity_ratio is not null
),
{{ sampled_spans('moments', [], 'device') }}
