-- What holders used: one row per hour, holding and node, with CPU seconds and GB-seconds of memory; an interval over several hours is
-- spread by time.
with hours as (
    select *, {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from {{ ref('stg_telemetry__resource_usage') }}
    where holding_id is not null and {{ may_overlap_build_days('started_at', 'ended_at') }}
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    holding_id,
    node,
    sum((cpu_seconds * ratio)::decimal(38, 9)) as cpu_seconds,
    sum((memory_gb_seconds * ratio)::decimal(38, 9)) as memory_gb_seconds
from (
    select *, {{ overlap_microseconds('started_at', 'ended_at', 'hour_start_at', 'hour') }}
        / {{ microseconds_between('started_at', 'ended_at') }}::double as ratio
    from hours
)
where {{ in_build_days('hour_start_at::date') }}
group by all
