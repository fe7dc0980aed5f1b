-- How good a model's answers were judged: one row per day of judgement, model, version, variant and metric. What a row does not say of its model the
-- request says that it names. A table, as the request may be of an earlier day.
{{ config(materialized='table') }}

with scores as (
    select *, row_number() over () as score_number from {{ ref('stg_product__quality_scores') }}
),

judged as (
    select request_id, any_value(model) as model, any_value(model_version) as model_version, any_value(variant) as variant
    from {{ ref('stg_telemetry__requests') }}
    where request_id in (select scores.request_id from scores where scores.request_id is not null)
    group by request_id
    -- an id that two models share names neither
    having count(distinct model) <= 1
)

select
    scores.usage_date,
    coalesce(scores.model, judged.model) as model,
    coalesce(scores.model_version, judged.model_version) as model_version,
    coalesce(scores.variant, judged.variant) as variant,
    scores.metric,
    sum(scores.score_count)::bigint as judged_count,
    coalesce(sum(scores.score_count) filter (where scores.score is not null), 0)::bigint as scored_count,
    sum((scores.score * scores.score_count)::decimal(38, 12)) as score_sum,
    coalesce(sum(scores.score_count) filter (where scores.error_count is not null), 0)::bigint as labelled_count,
    sum(scores.error_count)::bigint as error_count
from scores
left join judged on scores.request_id = judged.request_id
group by all
