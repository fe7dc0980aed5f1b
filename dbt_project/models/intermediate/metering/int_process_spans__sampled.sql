-- How long each holder's own processes kept the SMs busy: one row per span of int_gpu_spans and holder that samples cover, in microseconds.
-- Processes of one holder add up at each moment, to the whole GPU at most.
with moments as (
    select
        source_name, usage_date, node, gpu_id, holding_id,
        {{ epoch_microseconds('sampled_at') }} as us,
        least(sum(activity), 1000000)::integer as activity
    from (
        select
            samples.source_name, samples.usage_date, samples.node, samples.gpu_id, samples.holding_id, samples.process, samples.sampled_at,
            max({{ millionths('samples.process_sm_ratio') }}) as activity
        from {{ ref('stg_telemetry__gpu_samples') }} as samples
        where {{ sampled_days('samples') }} and samples.process_sm_ratio is not null and samples.holding_id is not null
        group by all
    )
    group by all
),
{{ sampled_spans('moments', ['holding_id'], 'process') }}
