-- One row per MIG instance and interval; an interval without an end lasts to the horizon of what is known. What is told twice, with or
-- without its node, counts once: the row that knows its end, then the later end.
select
    instances.source_name,
    coalesce(instances.cluster, '') as cluster,
    max(instances.node) over (partition by instances.gpu_id, instances.instance_id) as node,
    instances.gpu_id,
    instances.instance_id,
    regexp_replace(lower(trim(instances.profile)), '^mig-', '') as profile,
    instances.compute_slices,
    instances.memory_slices,
    instances.started_at,
    coalesce(instances.ended_at, horizon.horizon_at) as ended_at
from {{ source('raw', 'gpu_instances') }} as instances
cross join {{ source('meta', 'horizon') }} as horizon
qualify row_number() over (
    partition by instances.gpu_id, instances.instance_id, lower(trim(instances.profile)), instances.started_at
    order by instances.ended_at desc nulls last, instances.source_name, instances.file_name desc, instances.file_row desc
) = 1
