-- Who held what, each second once: one row per holding, node and stretch of the build's days, in which the attempt is not counted twice.
-- Rows of one attempt on one node that overlap count once (the earlier row says what it held until it ends), and stretches that
-- follow each other with the same amounts are one.
{% set what = ['gpu_ids', 'gpu_count', 'declared_gpu_share', 'gpu_model', 'gpu_profile', 'gpu_sharing', 'gpu_memory_gb', 'cpu_count', 'memory_gb', 'disk_gb'] -%}
{{ config(materialized='table') }}

with started as (
    select *
    from {{ ref('stg_telemetry__holdings') }}
    where started_at is not null and {{ may_overlap_build_days('started_at', 'ended_at') }}
),

in_order as (
    select
        *,
        max(ended_at) over (
            partition by source_name, cluster, holding_id, node
            order by started_at, ended_at, file_name, file_row rows between unbounded preceding and 1 preceding
        ) as held_until_at
    from started
),

cut as (
    select
        * exclude (started_at),
        started_at as delivered_start_at,
        greatest(started_at, coalesce(held_until_at, started_at)) as started_at
    from in_order
),

islands as (
    select
        *,
        sum(case when is_same then 0 else 1 end) over (
            partition by source_name, cluster, holding_id, node order by started_at, ended_at, file_name, file_row
            rows between unbounded preceding and current row
        ) as island
    from (
        select
            *,
            coalesce(
                lag(ended_at) over attempt = started_at
                {%- for column in what %} and lag({{ column }}) over attempt is not distinct from {{ column }}{% endfor %},
                false
            ) as is_same
        from cut
        where ended_at > started_at
        window attempt as (partition by source_name, cluster, holding_id, node order by started_at, ended_at, file_name, file_row)
    )
)

select
    source_name, cluster, holding_id, node,
    min(started_at) as started_at,
    max(ended_at) as ended_at,
    {% for column in what + ['job_id', 'holder_kind', 'name', 'pool', 'namespace', 'model', 'tenant', 'gpu_share'] -%}
    min_by({{ column }}, started_at) filter (where {{ column }} is not null) as {{ column }},
    {% endfor -%}
    min_by(delivered_start_at, started_at) as delivered_start_at
from islands
group by source_name, cluster, holding_id, node, island
