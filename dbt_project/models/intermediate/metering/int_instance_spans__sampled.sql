-- How busy each MIG instance was: one row per span of int_gpu_spans and instance that samples cover, in microseconds.
-- depends_on: {{ ref('stg_telemetry__gpu_samples') }}, {{ ref('int_gpu_spans') }}, {{ ref('int_sample_intervals') }}
{{ config(
    pre_hook=["{{ sample_units('instance') }}", "{{ sample_standing('instance') }}", "{{ sample_spills('instance') }}", "{{ sample_spans('instance') }}"],
    post_hook="drop table sample_standing_instance"
) }}

{{ sampled_spans('instance') }}
