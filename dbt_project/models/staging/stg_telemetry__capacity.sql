-- One row per node or GPU and interval; an interval without an end lasts to the horizon of what is known.
-- Dumps repeat an interval: the row that knows its end counts, then the later end, then the later file. `says_resource`: the row itself
-- names the ResourceId.
select
    capacity.source_name,
    coalesce(capacity.cluster, '') as cluster,
    coalesce(capacity.pool, '') as pool,
    capacity.node,
    nullif(trim(capacity.gpu_id), '') as gpu_id,
    nullif(trim(capacity.gpu_model), '') as gpu_model,
    case when nullif(trim(capacity.gpu_id), '') is not null then coalesce(capacity.gpu_count, 1) else coalesce(capacity.gpu_count, 0) end
        as gpu_count,
    capacity.gpu_memory_gb,
    coalesce(capacity.cpu_count, 0) as cpu_count,
    capacity.memory_gb,
    capacity.disk_gb,
    capacity.sku,
    capacity.region,
    lower(trim(capacity.purchase_option)) as purchase_option,
    coalesce(lower(capacity.state), 'up') as state,
    coalesce(capacity.resource_id, capacity.node) as resource_id,
    capacity.resource_id is not null as says_resource,
    capacity.started_at,
    coalesce(capacity.ended_at, horizon.horizon_at) as ended_at
from {{ source('raw', 'capacity') }} as capacity
cross join {{ source('meta', 'horizon') }} as horizon
qualify row_number() over (
    partition by capacity.source_name, capacity.cluster, capacity.node, capacity.gpu_id, capacity.gpu_model, capacity.state, capacity.resource_id,
        capacity.started_at
    order by capacity.ended_at desc nulls last, capacity.file_name desc, capacity.file_row desc
) = 1
