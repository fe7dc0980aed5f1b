-- One row per day, node, GPU model, resource, layer, evidence and team: the hourly table summed; what people query.
{{ config(materialized='incremental', incremental_strategy='days') }}

select
    usage_date,
    cluster,
    pool,
    node,
    gpu_model,
    resource,
    layer,
    is_held,
    evidence,
    team,
    {{ sum_hours('gpu_hours') }} as gpu_hours,
    {{ sum_hours('cpu_hours') }} as cpu_hours,
    {{ sum_hours('memory_gb_hours') }} as memory_gb_hours,
    sum(allocated_cost) as allocated_cost,
    currency_code,
    case when sum(gpu_hours) > 0 then sum(allocated_cost)::double / {{ sum_hours('gpu_hours') }} end as cost_per_gpu_hour,
    {{ sum_hours('gpu_utilization_ratio * gpu_hours') }}
        / nullif({{ sum_hours('case when gpu_utilization_ratio is not null then gpu_hours end') }}, 0)
        as gpu_utilization_ratio
from {{ ref('fct_gpu_hours') }}
where {{ in_build_days('usage_date') }}
group by all
