-- How much of each driver of a cost each job caused: one row per day, driver, job as it was named (NULL: none) and, where told, resource and
-- provider. What lasts longer than a day counts by time. `weight` in whole units of 10^-6: the sum does not depend on the order.
with drivers as (
    select
        *,
        case when ended_at > started_at then ended_at else started_at + interval 1 microsecond end as until_at
    from {{ source('raw', 'usage_drivers') }}
    where quantity > 0 and {{ may_overlap_build_days('started_at', 'ended_at') }}
),

days as (
    select *, {{ slots('started_at', 'until_at', 'day') }} as day_start_at from drivers
)

select
    day_start_at::date as usage_date,
    lower(trim(driver)) as driver,
    nullif(trim(job_id), '') as job_id,
    case when trim(job_id) <> '' then nullif(trim(cluster), '') end as named_cluster,
    nullif(trim(resource_id), '') as resource_id,
    lower(nullif(trim(provider), '')) as provider,
    sum({{ to_whole(
        "quantity * 1000000.0 * " ~ overlap_microseconds('started_at', 'until_at', 'day_start_at', 'day')
        ~ " / " ~ microseconds_between('started_at', 'until_at')
    ) }}) as weight
from days
where {{ in_build_days('day_start_at::date') }}
group by all
