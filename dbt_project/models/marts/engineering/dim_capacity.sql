-- One row per node or GPU and interval in which it existed, and the ResourceId under which it is billed.
{{ config(materialized='view') }}

select
    source_name, nullif(cluster, '') as cluster, nullif(pool, '') as pool, node, gpu_id, gpu_model, gpu_count, cpu_count, state,
    resource_id, started_at, ended_at
from {{ ref('stg_telemetry__capacity') }}
