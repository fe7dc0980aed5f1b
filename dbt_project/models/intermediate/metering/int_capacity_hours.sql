-- What existed: one row per hour and unit (GPU where GPUs are listed, else the node's GPUs of a model, else the node), with how long it
-- was up and down. A unit that drains counts as up.
select
    usage_date,
    hour_start_at,
    cluster,
    pool,
    node,
    gpu_id,
    resource_id,
    gpu_model,
    max(gpu_memory_gb) as gpu_memory_gb,
    sum(case when state <> 'down' then gpu_count * microseconds else 0 end)::bigint as gpu_up_microseconds,
    sum(case when state = 'down' then gpu_count * microseconds else 0 end)::bigint as gpu_down_microseconds,
    sum(case when state <> 'down' then cpu_count * microseconds else 0 end)::bigint as cpu_up_microseconds,
    sum(case when state = 'down' then cpu_count * microseconds else 0 end)::bigint as cpu_down_microseconds,
    sum(memory_gb * microseconds)::bigint as memory_gb_microseconds,
    sum(disk_gb * microseconds)::bigint as disk_gb_microseconds,
    sum(microseconds)::bigint as microseconds
from (
    select *, {{ microseconds_between('span_start_at', 'span_end_at') }} as microseconds
    from {{ ref('int_capacity_spans') }}
    where {{ in_build_days('usage_date') }}
)
group by all
