-- One row per node or GPU and interval; an interval without an end lasts to the horizon of what is known.
select
    capacity.source_name,
    coalesce(capacity.cluster, '') as cluster,
    coalesce(capacity.pool, '') as pool,
    capacity.node,
    capacity.gpu_id,
    capacity.gpu_model,
    case when capacity.gpu_id is not null then coalesce(capacity.gpu_count, 1) else coalesce(capacity.gpu_count, 0) end as gpu_count,
    coalesce(capacity.cpu_count, 0) as cpu_count,
    capacity.memory_gb,
    capacity.sku,
    capacity.region,
    capacity.purchase_option,
    coalesce(lower(capacity.state), 'up') as state,
    coalesce(capacity.resource_id, capacity.node) as resource_id,
    capacity.started_at,
    coalesce(capacity.ended_at, horizon.horizon_at) as ended_at
from {{ source('raw', 'capacity') }} as capacity
cross join {{ source('meta', 'horizon') }} as horizon
