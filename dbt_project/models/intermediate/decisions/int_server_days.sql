-- What served models held and did: one row per day, model, pool, GPU model and holding, with GPU-hours held, seen and at work, and CPU-hours held by
-- holdings whose CPU time was measured, and used.
with held as (
    select
        usage_date, model, pool, gpu_model, holding_id,
        {{ sum_hours("case when resource = 'gpu' then gpu_hours end") }} as gpu_hours,
        {{ sum_hours("case when resource = 'gpu' and layer in ('productive', 'quiet') then gpu_hours end") }} as seen_gpu_hours,
        {{ sum_hours("case when resource = 'gpu' and layer = 'productive' then gpu_hours end") }} as busy_gpu_hours,
        {{ sum_hours('cpu_hours') }} as cpu_hours
    from {{ ref('fct_gpu_hours') }}
    where is_held and model is not null and {{ in_build_days('usage_date') }}
    group by all
)

select
    held.* exclude (cpu_hours, busy_gpu_hours),
    case when held.seen_gpu_hours > 0 then coalesce(held.busy_gpu_hours, 0) end as busy_gpu_hours,
    case when usage.holding_id is not null then held.cpu_hours end as seen_cpu_hours,
    case when held.cpu_hours > 0
        then usage.cpu_seconds::double / 3600 * (held.cpu_hours / sum(held.cpu_hours) over (partition by held.usage_date, held.holding_id)) end as used_cpu_hours
from held
left join {{ ref('int_holder_usage_days') }} as usage
    on held.usage_date = usage.usage_date and held.holding_id = usage.holding_id and {{ in_build_days('usage.usage_date') }}
