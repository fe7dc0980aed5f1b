-- When a GPU could not be used because of an XID error: one row per GPU and stretch. The driver goes on reporting the last error, so a GPU that
-- is seen at work again is well. Which errors mean that it needs a reset or is lost: policy down_xids (NVIDIA XID errors catalogue).
{{ config(materialized='table') }}

with samples as (
    select samples.*, intervals.gap_microseconds, coalesce(policies.value, '48 62 64 74 79 95 119 120 140') as down_xids
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    inner join {{ ref('int_sample_intervals') }} as intervals
        on samples.source_name = intervals.source_name and samples.usage_date = intervals.usage_date
    left join {{ source('config', 'policies') }} as policies
        on policies.policy = 'down_xids' and {{ in_force('policies', 'samples.usage_date') }}
    where {{ sampled_days('samples') }} and samples.xid is not null and samples.instance_id is null
)

select node, gpu_id, sampled_at as started_at, ended_at
from (
    select
        node, gpu_id, sampled_at, xid, activity_ratio, down_xids,
        least(
            coalesce(lead(sampled_at) over (partition by node, gpu_id order by sampled_at), sampled_at + to_microseconds(gap_microseconds)),
            sampled_at + to_microseconds(gap_microseconds)
        ) as ended_at
    from samples
)
where contains(' ' || down_xids || ' ', ' ' || xid || ' ') and coalesce(activity_ratio, 0) = 0 and ended_at > sampled_at
