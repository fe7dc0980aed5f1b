-- Which attempt of which job a holding is: one row per source, cluster ('' where none is named) and holding, on however many nodes.
-- The source's own numbers decide where each holding of the job has one. Else holdings of a job that are held at the same time are one
-- attempt (the pods of a parallel job), and one that begins later is the next. What takes the place of a holding that did not succeed may
-- begin before that one is gone: it is the next attempt too, if no more than five minutes, or half of the time that it ran, were left.
{{ config(materialized='table') }}


with holdings as (
    select
        source_name,
        coalesce(cluster, '') as cluster,
        holding_id,
        min(job_id) as job_id,
        max(attempt) as told_attempt,
        min(submitted_at) as submitted_at,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        bool_or(is_open) as is_open,
        max_by(outcome, coalesce(ended_at, started_at, submitted_at, timestamp '1970-01-01')) filter (where outcome is not null) as outcome
    from {{ ref('stg_telemetry__holdings') }}
    group by source_name, coalesce(cluster, ''), holding_id
),

-- until when another holding of the job is the same attempt
until as (
    select
        *,
        case
            when outcome in {{ unsuccessful() }}
                then greatest(ended_at - interval 5 minute, started_at + (ended_at - started_at) / 2)
            else ended_at
        end as joined_until_at,
        bool_and(told_attempt is not null) over (partition by source_name, cluster, job_id) as is_told
    from holdings
),

places as (
    select
        *,
        coalesce(started_at < max(joined_until_at) over (
            partition by source_name, cluster, job_id order by started_at nulls last, submitted_at, holding_id
            rows between unbounded preceding and 1 preceding
        ), false) as is_joined
    from until
)

select
    source_name,
    cluster,
    holding_id,
    job_id,
    case
        when is_told then told_attempt
        else sum(case when is_joined then 0 else 1 end) over (
            partition by source_name, cluster, job_id order by started_at nulls last, submitted_at, holding_id
            rows between unbounded preceding and current row
        )
    end::bigint as attempt,
    submitted_at,
    started_at,
    ended_at,
    is_open,
    outcome
from places
