-- How busy each MIG instance was: one row per span of int_gpu_spans and instance that samples cover, in microseconds.
with moments as (
    select
        samples.source_name, samples.usage_date, samples.node, samples.gpu_id, samples.instance_id,
        {{ epoch_microseconds('samples.sampled_at') }} as us,
        {{ millionths('samples.activity_ratio') }} as activity
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    where {{ sampled_days('samples') }} and samples.instance_id is not null and samples.activity_ratio is not null
),
{{ sampled_spans('moments', ['instance_id'], 'instance') }}
