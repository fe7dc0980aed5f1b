-- How long a sample stands at most when none follows: one row per source and day. It is the policy sample_gap_intervals (2) times the usual
-- distance of two samples of a GPU: the median over a few nodes of each pool, drawn by their names' digests; 5 minutes where that is not known.
{{ config(materialized='table') }}

with drawn as (
    select distinct node
    from (
        select *, row_number() over (partition by cluster, pool order by md5(node)) as place
        from (
            select distinct cluster, pool, node from {{ ref('stg_telemetry__capacity') }}
            where {{ may_overlap_build_days("started_at", "ended_at + interval 1 day") }}
        )
    )
    where place <= 4
),

moments as (
    select distinct samples.usage_date, samples.source_name, samples.node, samples.gpu_id, samples.sampled_at
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    where {{ sampled_days('samples') }} and (samples.node in (select drawn.node from drawn) or samples.node is null)
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
    select distinct usage_date, source_name
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    where {{ sampled_days('samples') }}
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
