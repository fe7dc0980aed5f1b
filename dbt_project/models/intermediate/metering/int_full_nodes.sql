-- When a node with GPUs had no CPU or no GB of memory left to hold, so that its free GPUs could not be held either: one row per hour,
-- node and stretch. `full_of`: cpu or memory.
with nodes as (
    select hour_start_at, cluster, node, sum(cpu_count) as cpu_count, sum(memory_gb) as memory_gb
    from (
        select hour_start_at, cluster, node, gpu_id, gpu_model, max(cpu_count) as cpu_count, max(memory_gb) as memory_gb,
            max(gpu_count) as gpu_count
        from {{ ref('int_capacity_spans') }}
        where {{ in_build_days('usage_date') }}
        group by all
    )
    group by all
    having sum(gpu_count) > 0 and (sum(cpu_count) > 0 or sum(memory_gb) > 0)
),

held as (
    select spans.hour_start_at, spans.cluster, spans.node, spans.span_start_at, spans.span_end_at, spans.cpu_count, spans.memory_gb,
        nodes.cpu_count as node_cpu_count, nodes.memory_gb as node_memory_gb,
        sum(spans.cpu_count) over hour_of_node as most_cpu_count,
        sum(spans.memory_gb) over hour_of_node as most_memory_gb
    from {{ ref('int_holding_spans') }} as spans
    inner join nodes on spans.hour_start_at = nodes.hour_start_at and spans.cluster = nodes.cluster and spans.node = nodes.node
    where spans.is_on_known_node and {{ in_build_days('spans.usage_date') }}
    window hour_of_node as (partition by spans.hour_start_at, spans.cluster, spans.node)
),

-- only nodes whose holders of the hour could fill it are looked at moment by moment
changes as (
    select hour_start_at, cluster, node, node_cpu_count, node_memory_gb, moment,
        sum(cpu_change) as cpu_change, sum(memory_change) as memory_change
    from (
        select
            hour_start_at, cluster, node, node_cpu_count, node_memory_gb,
            {{ unfolded({
                'moment': ['span_start_at', 'span_end_at'],
                'cpu_change': ['cpu_count', '-cpu_count'],
                'memory_change': ['memory_gb', '-memory_gb'],
            }) }}
        from held
        where (node_cpu_count > 0 and most_cpu_count > node_cpu_count - 1) or (node_memory_gb > 0 and most_memory_gb > node_memory_gb - 1)
    )
    group by all
),

levels as (
    select
        *,
        sum(cpu_change) over so_far as held_cpu_count,
        sum(memory_change) over so_far as held_memory_gb,
        lead(moment) over (partition by hour_start_at, cluster, node order by moment) as until_at
    from changes
    window so_far as (partition by hour_start_at, cluster, node order by moment rows between unbounded preceding and current row)
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    cluster,
    node,
    moment as span_start_at,
    until_at as span_end_at,
    case when node_cpu_count > 0 and held_cpu_count > node_cpu_count - least(1, node_cpu_count) then 'cpu' else 'memory' end as full_of
from levels
where until_at > moment
    and ((node_cpu_count > 0 and held_cpu_count > node_cpu_count - 1) or (node_memory_gb > 0 and held_memory_gb > node_memory_gb - 1))
