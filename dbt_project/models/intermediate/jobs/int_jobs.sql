-- One row per source, cluster and job: what names of jobs elsewhere (work, requests, drivers, people's time) can mean.
{{ config(materialized='table') }}

select
    source_name, cluster, job_id,
    min(coalesce(submitted_at, started_at)) as first_at,
    case when bool_and(started_at is null or ended_at is not null) then max(coalesce(ended_at, submitted_at)) else timestamp '9999-12-31' end as last_at
from {{ ref('int_job_attempts') }}
group by source_name, cluster, job_id
