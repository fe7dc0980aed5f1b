-- Each thing done, with the attempt that did it: the one that it names, else the one of its job that ran then (else the last begun before).
-- What was done since the last moment that saved work is lost where the attempt did not succeed.
{{ config(materialized='table') }}

with work as (
    select *, row_number() over () as work_number from {{ ref('stg_telemetry__work') }}
),

matched as (
    select
        work.* exclude (work_number, source_name, cluster, holding_id),
        attempts.source_name, attempts.cluster, attempts.attempt, attempts.outcome
    from work
    inner join {{ ref('int_job_attempts') }} as attempts
        on work.job_id = attempts.job_id and (work.cluster is null or attempts.cluster in ('', work.cluster))
    left join {{ ref('int_job_holdings') }} as named
        on work.holding_id = named.holding_id and attempts.source_name = named.source_name and attempts.cluster = named.cluster
        and attempts.job_id = named.job_id and attempts.attempt = named.attempt
    qualify row_number() over (
        partition by work.work_number
        order by
            named.holding_id is not null desc,
            coalesce(attempts.started_at < work.finished_at and work.finished_at <= coalesce(attempts.ended_at, timestamp '9999-12-31'), false) desc,
            coalesce(attempts.started_at <= work.finished_at, false) desc,
            attempts.started_at desc nulls last, attempts.source_name, attempts.cluster, attempts.attempt
    ) = 1
)

select
    *,
    coalesce(outcome in {{ unsuccessful() }}, false) and finished_at > coalesce(
        max(finished_at) filter (where is_saved) over (partition by source_name, cluster, job_id, attempt), timestamp '0001-01-01'
    ) as is_lost
from matched
