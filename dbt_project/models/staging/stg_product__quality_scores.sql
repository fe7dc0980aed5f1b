-- One row per judgement of a prediction or evaluation run. `error_count` is NULL where nothing was labelled.
select
    source_name,
    scored_at,
    scored_at::date as usage_date,
    nullif(trim(request_id), '') as request_id,
    nullif(trim(model), '') as model,
    nullif(trim(model_version), '') as model_version,
    nullif(trim(variant), '') as variant,
    lower(trim(metric)) as metric,
    score,
    coalesce(score_count, 1) as score_count,
    coalesce(error_count, case is_error when true then coalesce(score_count, 1) when false then 0 end) as error_count
from {{ source('raw', 'quality_scores') }}
qualify score_id is null or row_number() over (partition by source_name, score_id order by scored_at desc, file_name desc, file_row desc) = 1
