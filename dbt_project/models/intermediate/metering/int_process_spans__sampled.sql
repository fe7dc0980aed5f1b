-- How long each holder's own processes kept the SMs busy: one row per span of int_gpu_spans and holder that samples cover, in microseconds.
-- depends_on: {{ ref('stg_telemetry__gpu_samples') }}, {{ ref('int_gpu_spans') }}, {{ ref('int_sample_intervals') }}
{{ config(
    pre_hook=["{{ sample_units('process') }}", "{{ sample_standing('process') }}", "{{ sample_spills('process') }}", "{{ sample_spans('process') }}"],
    post_hook="drop table sample_standing_process"
) }}

{{ sampled_spans('process') }}
