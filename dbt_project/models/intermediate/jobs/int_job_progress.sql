-- What each job got done: one row per job. What was lost with an attempt does not count, and what was done again after a restart counts once.
{{ config(materialized='table') }}

with counted as (
    select
        source_name, cluster, job_id, kind, number,
        case when number is null then sum(quantity) filter (where not is_lost) else max(quantity) filter (where not is_lost) end as quantity,
        case when number is null then sum(quantity) filter (where outcome = 'succeeded') else max(quantity) filter (where outcome = 'succeeded')
        end as quantity_of_success,
        sum(quantity) as quantity_run
    from {{ ref('int_job_work') }}
    group by source_name, cluster, job_id, kind, number
),

done as (
    select
        source_name, cluster, job_id,
        {%- for kind in ['epoch', 'item', 'batch'] %}
        coalesce(sum(quantity) filter (where kind = '{{ kind }}'), 0)::double as {{ kind }}s,
        coalesce(sum(quantity_of_success) filter (where kind = '{{ kind }}'), 0)::double as {{ kind }}s_of_success,
        sum(quantity_run) filter (where kind = '{{ kind }}')::double as {{ kind }}s_run{{ ',' if not loop.last }}
        {%- endfor %}
    from counted
    group by source_name, cluster, job_id
),

said as (
    select
        source_name, cluster, job_id,
        {%- for column in ['experiment', 'model', 'model_version', 'commit_id'] %}
        max_by({{ column }}, (finished_at, {{ column }})) filter (where {{ column }} is not null) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_job_work') }}
    group by source_name, cluster, job_id
)

select
    said.*,
    case when done.epochs_run is not null then done.epochs end as epochs,
    case when done.epochs_run is not null then done.epochs_of_success end as epochs_of_success,
    done.epochs_run,
    -- a batch is so many items, where the items are not told one by one
    case when done.items_run is not null then done.items when done.batchs_run is not null then done.batchs end as items,
    coalesce(done.items_run, done.batchs_run) as items_run
from said
inner join done on said.source_name = done.source_name and said.cluster = done.cluster and said.job_id = done.job_id
