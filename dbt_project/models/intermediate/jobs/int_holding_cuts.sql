-- Where a day of a holding is cut: at each moment that saved its job's work, and at the first thing done that day. One row per day, holding
-- and stretch between two cuts. Which cut counts is known when the attempt has ended (int_attempt_days): a day looks at itself alone.
with spans as (
    select
        usage_date, source_name, cluster, holding_id, job_id,
        min(span_start_at) as held_from_at,
        max(span_end_at) as held_until_at
    from {{ ref('int_holding_spans') }}
    where {{ in_build_days('usage_date') }}
    group by usage_date, source_name, cluster, holding_id, job_id
),

done as (
    select spans.*, work.finished_at, work.is_saved, work.holding_id as done_by
    from spans
    inner join {{ ref('stg_telemetry__work') }} as work
        on spans.usage_date = work.usage_date and spans.job_id = work.job_id and (work.cluster is null or work.cluster = spans.cluster)
        and work.finished_at > spans.held_from_at and work.finished_at < spans.held_until_at
),

cuts as (
    select usage_date, source_name, cluster, holding_id, held_from_at as moment from spans
    union
    select usage_date, source_name, cluster, holding_id, finished_at from done where is_saved
    union
    select usage_date, source_name, cluster, holding_id, min(finished_at)
    from done
    group by usage_date, source_name, cluster, holding_id, done_by
)

select
    cuts.usage_date, cuts.source_name, cuts.cluster, cuts.holding_id,
    cuts.moment as stretch_start_at,
    lead(cuts.moment, 1, spans.held_until_at) over holding_day as stretch_end_at,
    count(*) over (partition by cuts.usage_date, cuts.source_name, cuts.cluster, cuts.holding_id) as stretches
from cuts
inner join spans
    on cuts.usage_date = spans.usage_date and cuts.source_name = spans.source_name and cuts.cluster = spans.cluster
    and cuts.holding_id = spans.holding_id
window holding_day as (partition by cuts.usage_date, cuts.source_name, cuts.cluster, cuts.holding_id order by cuts.moment)
