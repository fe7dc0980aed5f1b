-- What was held: one row per hour, holding and node (and GPU, where the holding names its GPUs), from when to when and how much of it.
-- `gpu_parts` counts GPUs in parts (macro parts_of_one), a MIG slice by the policy mig_share. A holding is placed on a node of the
-- capacity list where that has it; named MIG instances are found on their GPU.
with holdings as (
    select cleaned.*, owned.team, owned.cost_centre
    from {{ ref('int_holdings__cleaned') }} as cleaned
    left join {{ ref('int_holdings__owned') }} as owned
        on cleaned.source_name = owned.source_name and cleaned.cluster is not distinct from owned.cluster
        and cleaned.holding_id = owned.holding_id and cleaned.node is not distinct from owned.node
        and cleaned.delivered_start_at = owned.started_at
),

hours as (
    select *, {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from holdings
),

-- where a node's name stands in several clusters, a holding that names no cluster goes to the first
nodes as (
    select *, row_number() over (partition by hour_start_at, node order by cluster) as place
    from (
        select hour_start_at, cluster, max(pool) as pool, node, max(gpu_model) as gpu_model, max(gpu_memory_gb) as gpu_memory_gb
        from {{ ref('int_capacity_hours') }}
        where {{ in_build_days('usage_date') }}
        group by hour_start_at, cluster, node
    )
),

-- the GPUs (and MIG instances) that samples name a pod or job on, where that is as many as it holds
told as (
    select * from {{ ref('int_holdings__sampled') }} where {{ in_build_days('usage_date') }}
),

placed as (
    select
        hours.* exclude (gpu_model, gpu_ids),
        hours.gpu_model as asked_model,
        coalesce(hours.gpu_model, nodes.gpu_model) as gpu_model,
        nodes.gpu_memory_gb as device_memory_gb,
        nodes.cluster as on_cluster,
        nodes.pool as on_pool,
        {{ named_gpus('coalesce(hours.gpu_ids, by_id.gpu_ids, by_pod.gpu_ids)') }} as gpu_name,
        {{ count_named_gpus('coalesce(hours.gpu_ids, by_id.gpu_ids, by_pod.gpu_ids)') }} as named_gpus
    from hours
    left join nodes
        on hours.node = nodes.node and hours.hour_start_at = nodes.hour_start_at
        and (hours.cluster = nodes.cluster or (hours.cluster is null and nodes.place = 1))
    left join told as by_id
        on hours.gpu_ids is null and by_id.usage_date = hours.hour_start_at::date and by_id.node = hours.node
        and by_id.holding_id = hours.holding_id and by_id.gpu_count = ceil(hours.gpu_count)
    left join told as by_pod
        on hours.gpu_ids is null and by_pod.usage_date = hours.hour_start_at::date and by_pod.node = hours.node
        and by_pod.holding_id = hours.namespace || '/' || hours.name and by_pod.gpu_count = ceil(hours.gpu_count)
),

-- the number of an instance is used again after the GPU was divided anew: each layout counts until the next
instances as (
    select
        instance_id, node, gpu_id, profile,
        case when lag(started_at) over layouts is null then timestamp '1970-01-01' else started_at end as from_at,
        coalesce(lead(started_at) over layouts, timestamp '9999-12-31') as until_at
    from {{ ref('stg_telemetry__gpu_instances') }}
    window layouts as (partition by instance_id, node order by started_at, gpu_id)
),

named as (
    select
        placed.* exclude (gpu_profile, started_at, ended_at),
        greatest(placed.started_at, coalesce(instances.from_at, placed.started_at)) as started_at,
        least(placed.ended_at, coalesce(instances.until_at, placed.ended_at)) as ended_at,
        coalesce(instances.gpu_id, nullif(trim(placed.gpu_name), '')) as gpu_id,
        instances.instance_id,
        coalesce(placed.gpu_profile, instances.profile) as gpu_profile
    from placed
    left join instances
        on trim(placed.gpu_name) = instances.instance_id and (instances.node is null or instances.node = placed.node)
        and instances.from_at < least(placed.ended_at, placed.hour_start_at + interval 1 hour)
        and instances.until_at > greatest(placed.started_at, placed.hour_start_at)
),

sliced as (
    select
        named.*,
        case when gpu_profile is not null then {{ mig_compute_parts('gpu_profile', 'gpu_model') }} end as compute_parts,
        case when gpu_profile is not null then {{ mig_memory_parts('gpu_profile', 'gpu_model', 'device_memory_gb') }} end as memory_parts,
        -- a share given by its memory alone
        case
            when declared_gpu_share is null and gpu_profile is null and gpu_sharing in ('hami', 'mps', 'time_slicing')
                and gpu_memory_gb > 0 and {{ gpu_memory_of('gpu_model', 'device_memory_gb') }} > 0
                then least({{ parts_of_one() }}, {{ parts('gpu_memory_gb::double / ' ~ gpu_memory_of('gpu_model', 'device_memory_gb')) }})
            else {{ parts('gpu_share') }}
        end as share_parts,
        -- several slices of one named GPU
        case
            when named_gpus = 0 then gpu_count
            when gpu_profile is not null and instance_id is null and gpu_count > named_gpus then gpu_count / named_gpus
            else 1
        end as gpu_times,
        policies.mig_share
    from named
    left join {{ ref('int_pool_policies') }} as policies
        on policies.usage_date = named.hour_start_at::date and policies.cluster = coalesce(named.on_cluster, named.cluster, '')
        and policies.pool = coalesce(named.on_pool, named.pool, '')
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    greatest(started_at, hour_start_at) as span_start_at,
    least(ended_at, hour_start_at + interval 1 hour) as span_end_at,
    source_name, holding_id, job_id, holder_kind, name, namespace || '/' || name as pod_name,
    coalesce(on_cluster, cluster, '') as cluster,
    coalesce(on_pool, pool, '') as pool,
    node,
    on_cluster is not null as is_on_known_node,
    gpu_id, instance_id, asked_model, gpu_sharing, gpu_profile,
    model, tenant, team, cost_centre,
    (gpu_times * case
        when gpu_profile is null then share_parts
        when mig_share = 'memory' then memory_parts
        when mig_share = 'larger' then greatest(compute_parts, memory_parts)
        else compute_parts
    end)::bigint as gpu_parts,
    case when gpu_profile is null and share_parts < {{ parts_of_one() }} then true else false end as is_shared,
    (gpu_times * compute_parts)::bigint as compute_parts,
    (gpu_times * memory_parts)::bigint as memory_parts,
    mig_share,
    -- named GPUs make several rows of one holding: its CPUs and memory are shared out among them
    (cpu_count / greatest(named_gpus, 1))::decimal(18, 6) as cpu_count,
    (coalesce(memory_gb, 0) / greatest(named_gpus, 1))::decimal(18, 6) as memory_gb,
    (coalesce(disk_gb, 0) / greatest(named_gpus, 1))::decimal(18, 6) as disk_gb
from sliced
where {{ in_build_days('hour_start_at::date') }}
