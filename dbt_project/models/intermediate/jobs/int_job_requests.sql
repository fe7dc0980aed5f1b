-- Which job asked: one row per request that names a job itself, or whose trace was started by one. The nearest span above (or at) the
-- request's own that names a job says which; where no span is known to be the request's, the trace's first span. Spans of the day before
-- count too: a trace may go on past midnight.
with asked as (
    select usage_date, source_name, request_id, nullif(trim(job_id), '') as job_id, trace_id
    from {{ ref('stg_telemetry__requests') }}
    where {{ in_build_days('usage_date') }} and (trim(job_id) <> '' or trace_id is not null)
),

traces as (
    select distinct usage_date, trace_id from asked where job_id is null
),

spans as (
    select traces.usage_date, spans.trace_id, spans.span_id, nullif(spans.parent_span_id, '') as parent_span_id,
        nullif(trim(spans.job_id), '') as job_id, spans.request_id
    from {{ source('raw', 'spans') }} as spans
    inner join traces
        on spans.trace_id = traces.trace_id and spans.started_at < traces.usage_date + interval 1 day
        and spans.ended_at >= traces.usage_date - interval 1 day
    where {{ may_overlap_build_days('spans.started_at', 'spans.ended_at + interval 1 day') }}
        and spans.trace_id in (
            select named.trace_id from {{ source('raw', 'spans') }} as named
            where trim(named.job_id) <> '' and {{ may_overlap_build_days('named.started_at', 'named.ended_at + interval 1 day') }}
        )
),

-- a span below one that names a job belongs to that job
below as (
    {{ jobs_of_spans('spans') }}
),

of_requests as (
    select below.usage_date, below.trace_id, spans.request_id, min(below.job_id) as job_id
    from below
    inner join spans on below.usage_date = spans.usage_date and below.trace_id = spans.trace_id and below.span_id = spans.span_id
    where spans.request_id is not null
    group by below.usage_date, below.trace_id, spans.request_id
),

seen as (
    select distinct usage_date, trace_id, request_id from spans where request_id is not null
),

roots as (
    select usage_date, trace_id, min(job_id) as job_id
    from spans
    where parent_span_id is null and job_id is not null
    group by usage_date, trace_id
)

select
    asked.usage_date,
    asked.source_name,
    asked.request_id,
    coalesce(asked.job_id, of_requests.job_id, case when seen.request_id is null then roots.job_id end) as job_id,
    case when asked.job_id is not null then 'request' when of_requests.job_id is not null then 'span' else 'trace' end as named_by,
    count(*) as requests
from asked
left join of_requests
    on asked.usage_date = of_requests.usage_date and asked.trace_id = of_requests.trace_id and asked.request_id = of_requests.request_id
left join seen on asked.usage_date = seen.usage_date and asked.trace_id = seen.trace_id and asked.request_id = seen.request_id
left join roots on asked.usage_date = roots.usage_date and asked.trace_id = roots.trace_id
where coalesce(asked.job_id, of_requests.job_id, case when seen.request_id is null then roots.job_id end) is not null
group by all
