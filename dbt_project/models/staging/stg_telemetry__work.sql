-- One row per thing that a job got done. `is_saved`: what the attempt did until then is kept when it ends.
select
    source_name,
    finished_at,
    finished_at::date as usage_date,
    trim(job_id) as job_id,
    nullif(trim(cluster), '') as cluster,
    nullif(trim(holding_id), '') as holding_id,
    lower(trim(kind)) as kind,
    number,
    coalesce(quantity, 1)::decimal(28, 9) as quantity,
    coalesce(is_saved, lower(trim(kind)) = 'checkpoint') as is_saved,
    nullif(trim(experiment), '') as experiment,
    nullif(trim(model), '') as model,
    nullif(trim(model_version), '') as model_version,
    nullif(trim(commit_id), '') as commit_id
from {{ source('raw', 'work') }}
where trim(job_id) <> ''
-- daily dumps repeat a row
qualify work_id is null or row_number() over (partition by source_name, work_id order by finished_at desc, file_name desc, file_row desc) = 1
