-- One row per holder, node and interval, with the CPU and memory it used.
select
    usage.source_name,
    usage.node,
    usage.holding_id,
    usage.started_at,
    usage.ended_at,
    usage.cpu_seconds,
    usage.memory_gb_seconds
from {{ source('raw', 'resource_usage') }} as usage
