-- How busy each GPU was, as the device says: one row per span of int_gpu_spans that samples cover, in microseconds. A metric that is repeated
-- for all who share the GPU counts once; a sample without any activity covers nothing.
-- depends_on: {{ ref('stg_telemetry__gpu_samples') }}, {{ ref('int_gpu_spans') }}, {{ ref('int_sample_intervals') }}
{{ config(
    pre_hook=["{{ sample_units('device') }}", "{{ sample_standing('device') }}", "{{ sample_spills('device') }}", "{{ sample_spans('device') }}"],
    post_hook="drop table sample_standing_device"
) }}

{{ sampled_spans('device') }}
