-- What was held: one row per hour, holding and node (and GPU, where the holding names its GPUs), with how much of it.
-- gpu_microseconds = time x GPUs x share of each. A holding is placed on a node of the capacity list where that has it.
with holdings as (
    select
        holdings.*,
        owned.team,
        owned.cost_centre
    from {{ ref('stg_telemetry__holdings') }} as holdings
    left join {{ ref('int_holdings__owned') }} as owned
        on holdings.source_name = owned.source_name and holdings.file_name = owned.file_name
        and holdings.file_row is not distinct from owned.file_row and holdings.node is not distinct from owned.node
    where holdings.started_at is not null and {{ may_overlap_build_days('holdings.started_at', 'holdings.ended_at') }}
),

hours as (
    select
        *,
        {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from holdings
),

-- where a node's name stands in several clusters, a holding that names no cluster goes to the first
nodes as (
    select
        *,
        row_number() over (partition by hour_start_at, node order by cluster, pool) as place
    from (
        select distinct hour_start_at, cluster, pool, node
        from {{ ref('int_capacity_hours') }}
        where {{ in_build_days('usage_date') }}
    )
),

placed as (
    select
        hours.*,
        nodes.cluster as on_cluster,
        nodes.pool as on_pool,
        unnest(coalesce(string_split(nullif(trim(hours.gpu_ids), ''), ','), [null])) as gpu_name,
        coalesce(len(string_split(nullif(trim(hours.gpu_ids), ''), ',')), 0) as named_gpus
    from hours
    left join nodes
        on hours.node = nodes.node and hours.hour_start_at = nodes.hour_start_at
        and (hours.cluster = nodes.cluster or (hours.cluster is null and nodes.place = 1))
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    source_name,
    holding_id,
    job_id,
    holder_kind,
    name,
    coalesce(on_cluster, cluster, '') as cluster,
    coalesce(on_pool, pool, '') as pool,
    node,
    on_cluster is not null as is_on_known_node,
    nullif(trim(gpu_name), '') as gpu_id,
    model,
    team,
    cost_centre,
    sum(case
        when named_gpus > 0 then gpu_share * microseconds
        else gpu_count * gpu_share * microseconds
    end)::bigint as gpu_microseconds,
    -- named GPUs make several rows of one holding: its CPUs are shared out among them
    sum(cpu_count * microseconds / greatest(named_gpus, 1))::bigint as cpu_microseconds
from (
    select
        *,
        {{ overlap_microseconds('started_at', 'ended_at', 'hour_start_at', 'hour') }} as microseconds
    from placed
)
where {{ in_build_days('hour_start_at::date') }}
group by all
