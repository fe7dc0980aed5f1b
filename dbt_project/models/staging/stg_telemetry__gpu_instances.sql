-- One row per MIG instance and interval; an interval without an end lasts to the horizon of what is known.
select
    instances.source_name,
    coalesce(instances.cluster, '') as cluster,
    instances.node,
    instances.gpu_id,
    instances.instance_id,
    regexp_replace(lower(trim(instances.profile)), '^mig-', '') as profile,
    instances.compute_slices,
    instances.memory_slices,
    instances.started_at,
    coalesce(instances.ended_at, horizon.horizon_at) as ended_at
from {{ source('raw', 'gpu_instances') }} as instances
cross join {{ source('meta', 'horizon') }} as horizon
