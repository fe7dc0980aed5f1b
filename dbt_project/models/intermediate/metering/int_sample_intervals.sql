-- How long a sample stands at most when none follows: one row per source and day. It is the policy sample_gap_intervals (2) times the usual
-- distance of two samples of a GPU: the median over twenty GPUs of the day, drawn by their names' digests; 5 minutes where that is not known.
{{ config(materialized='table') }}

with gpus as (
    select distinct usage_date, source_name, node, gpu_id from {{ ref('stg_telemetry__gpu_samples') }} as samples where {{ sampled_days('samples') }}
),

drawn as (
    select *, row_number() over (partition by usage_date, source_name order by md5(coalesce(node, '') || ' ' || gpu_id), node) as place from gpus
),

moments as (
    select distinct samples.usage_date, samples.source_name, samples.node, samples.gpu_id, samples.sampled_at
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    inner join drawn
        on samples.usage_date = drawn.usage_date and samples.source_name = drawn.source_name and samples.gpu_id = drawn.gpu_id
        and samples.node is not distinct from drawn.node and drawn.place <= 20
    where {{ sampled_days('samples') }}
),

usual as (
    select usage_date, source_name, percentile_disc(0.5) within group (order by distance) as interval_microseconds
    from (
        select
            usage_date, source_name,
            {{ microseconds_between('sampled_at', 'lead(sampled_at) over (partition by usage_date, source_name, node, gpu_id order by sampled_at)') }}
                as distance
        from moments
    )
    where distance is not null
    group by all
),

days as (
    select distinct usage_date, source_name from gpus
)

select
    days.usage_date,
    days.source_name,
    least(
        ceil(coalesce(usual.interval_microseconds, 300000000) * coalesce(policies.value::double, 2)), 86400000000
    )::bigint as gap_microseconds
from days
left join usual on days.usage_date = usual.usage_date and days.source_name = usual.source_name
left join {{ source('config', 'policies') }} as policies
    on policies.policy = 'sample_gap_intervals' and policies.cluster is null and policies.pool is null
    and {{ in_force('policies', 'days.usage_date') }}
