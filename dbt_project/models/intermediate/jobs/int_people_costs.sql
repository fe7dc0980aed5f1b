-- What people's time cost and what for: one row per day, role, team and job, incident or model it went to, at the rate in force that day for
-- the role. Time that is for an incident goes to the jobs and models that the incident names, alike. `reason` says why there is no cost, or
-- why the time is nobody's (is_attributed is false).
{{ config(materialized='table') }}

with stretches as (
    select
        *,
        row_number() over () as stretch_number,
        round(minutes * 1000000)::hugeint as micro_minutes,
        case when ended_at > started_at then ended_at else started_at + interval 1 microsecond end as until_at
    from {{ source('raw', 'people_time') }}
),

days as (
    select *, {{ slots('started_at', 'until_at', 'day') }} as day_start_at from stretches
),

-- minutes of a day: those until its end less those until its start
dated as (
    select
        day_start_at::date as usage_date,
        lower(nullif(trim(role), '')) as role,
        nullif(trim(team), '') as team,
        nullif(trim(job_id), '') as job_id,
        nullif(trim(cluster), '') as named_cluster,
        nullif(trim(incident_id), '') as incident_id,
        nullif(trim(model), '') as model,
        sum(
            micro_minutes * {{ microseconds_between('started_at', 'least(until_at, day_start_at + interval 1 day)') }}
                // {{ microseconds_between('started_at', 'until_at') }}
            - micro_minutes * greatest({{ microseconds_between('started_at', 'day_start_at') }}, 0)
                // {{ microseconds_between('started_at', 'until_at') }}
        )::hugeint as micro_minutes
    from days
    group by all
),

rated as (
    select
        dated.*,
        row_number() over (order by dated.usage_date, dated.role, dated.team, dated.job_id, dated.named_cluster, dated.incident_id, dated.model)
            as time_number,
        workspace.currency_code,
        case when upper(trim(rates.currency)) = workspace.currency_code then 1 else exchange.rate end as exchange_rate,
        -- rate and minutes have six digits each: their product is in units of 10^-12
        {{ from_units('((rates.rate_per_hour * 1000000)::hugeint * dated.micro_minutes + 30) // 60') }} as cost,
        case
            when dated.role is null then 'no role told'
            when rates.role is null then 'no rate for the role'
            when upper(trim(rates.currency)) <> workspace.currency_code and exchange.rate is null then 'no exchange rate'
        end as cost_reason
    from dated
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'people_rates') }} as rates
        on dated.role = lower(trim(rates.role)) and {{ in_force('rates', 'dated.usage_date') }}
    left join {{ source('config', 'exchange_rates') }} as exchange
        on upper(trim(rates.currency)) = exchange.from_currency and exchange.to_currency = workspace.currency_code
        and {{ in_force('exchange', 'dated.usage_date') }}
),

priced as (
    select * exclude (cost), case when cost_reason is null then ({{ convert_money('cost', 'exchange_rate') }})::decimal(38, 12) end as cost
    from rated
),

incidents as (
    select distinct trim(event_id) as incident_id, nullif(trim(job_id), '') as job_id, nullif(trim(cluster), '') as named_cluster,
        nullif(trim(model), '') as model
    from {{ source('raw', 'events') }}
    where lower(trim(kind)) = 'incident' and (trim(job_id) <> '' or trim(model) <> '')
),

receivers as (
    select
        priced.* exclude (job_id, named_cluster, model),
        coalesce(priced.job_id, case when priced.model is null then incidents.job_id end) as job_id,
        case when priced.job_id is null then incidents.named_cluster else priced.named_cluster end as named_cluster,
        case when priced.job_id is null then coalesce(priced.model, incidents.model) else priced.model end as model,
        1 as weight,
        coalesce(priced.cost, 0)::decimal(38, 12) as whole_cost,
        {{ from_units('priced.micro_minutes * 1000000') }} as whole_minutes
    from priced
    left join incidents on priced.job_id is null and priced.model is null and priced.incident_id = incidents.incident_id
),

split_minutes as (
    {{ split_exact('receivers', by=['time_number'], amount='whole_minutes', weight='weight', tie_break=['job_id', 'named_cluster', 'model'],
        keep=['time_number', 'usage_date', 'role', 'team', 'job_id', 'named_cluster', 'incident_id', 'model', 'currency_code', 'cost_reason',
            'whole_cost', 'weight'], into='minutes') }}
),

split as (
    {{ split_exact('split_minutes', by=['time_number'], amount='whole_cost', weight='weight', tie_break=['job_id', 'named_cluster', 'model'],
        keep=['usage_date', 'role', 'team', 'job_id', 'named_cluster', 'incident_id', 'model', 'currency_code', 'cost_reason', 'minutes'],
        into='known_cost') }}
),

jobs as (
    {{ jobs_named('split') }}
)

select
    split.usage_date, split.role, split.team, split.incident_id, jobs.job_source, jobs.job_cluster, split.job_id, split.model,
    jobs.job_source is not null or (split.job_id is null and split.model is not null) as is_attributed,
    sum(split.minutes) as minutes,
    sum(case when split.cost_reason is null then split.known_cost end) as cost,
    split.currency_code,
    coalesce(split.cost_reason, case
        when jobs.job_source is not null or (split.job_id is null and split.model is not null) then null
        when split.job_id is not null then 'no such job'
        when split.incident_id is not null then 'the incident names no job'
        else 'names no job'
    end) as reason
from split
left join jobs
    on split.usage_date = jobs.usage_date and split.job_id = jobs.job_id and split.named_cluster is not distinct from jobs.named_cluster
group by all
