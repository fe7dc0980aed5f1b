-- How much of each driver each team caused on a day: raw.usage_drivers by its team, else the owner of its job, else of its resource
-- on that day; team_key is NULL where none is known. What lasts longer than a day counts by time. Whole units of 10^-9, so that
-- the sum does not depend on the order.
{{ config(materialized='table') }}

with drivers as (
    select
        *,
        case when ended_at > started_at then ended_at else started_at + interval 1 microsecond end as until_at
    from {{ source('raw', 'usage_drivers') }}
    where lower(trim(driver)) in (select rules.driver from {{ ref('int_costs__shared_rules') }} as rules)
        and quantity > 0 and {{ may_overlap_build_days('started_at', 'ended_at') }}
),

days as (
    select *, {{ slots('started_at', 'until_at', 'day') }} as day_start_at from drivers
),

jobs as (
    select usage_date, job_id, min(lower(team)) as team_key
    from {{ ref('int_holding_spans') }}
    where job_id is not null and {{ in_build_days('usage_date') }}
    group by usage_date, job_id
),

resources as (
    select charge_date as usage_date, resource_id, min(lower(team)) as team_key
    from {{ ref('int_charges__owned') }}
    where resource_id is not null and {{ in_build_days('charge_date') }}
    group by charge_date, resource_id
)

select
    days.day_start_at::date as usage_date,
    lower(trim(days.driver)) as driver,
    coalesce(lower(trim(days.team)), jobs.team_key, resources.team_key) as team_key,
    sum({{ to_whole(
        "days.quantity * 1000000000.0 * " ~ overlap_microseconds('days.started_at', 'days.until_at', 'days.day_start_at', 'day')
        ~ " / " ~ microseconds_between('days.started_at', 'days.until_at')
    ) }}) as weight
from days
left join jobs on days.job_id = jobs.job_id and days.day_start_at::date = jobs.usage_date
left join resources on days.resource_id = resources.resource_id and days.day_start_at::date = resources.usage_date
where {{ in_build_days('days.day_start_at::date') }}
group by all
