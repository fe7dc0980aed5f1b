-- Which GPUs samples name a pod or job on: one row per day, node and name as the samples have it (a pod's UID, namespace/pod or name, a job),
-- with the GPUs, or MIG instances, as a list with commas. So a holding that names none finds its own.
select
    usage_date,
    node,
    holding_id,
    {{ listed_in_order('gpu_name') }} as gpu_ids,
    count(*) as gpu_count
from (
    select distinct usage_date, node, holding_id, coalesce(instance_id, gpu_id) as gpu_name
    from {{ ref('stg_telemetry__gpu_samples') }}
    where holding_id is not null and node is not null and {{ in_build_days('usage_date') }}
)
group by usage_date, node, holding_id
