-- CPU and memory used: one row per day and holding.
select
    usage_date,
    holding_id,
    sum(cpu_seconds) as cpu_seconds,
    sum(memory_gb_seconds) as memory_gb_seconds
from {{ ref('int_usage_hours') }}
where {{ in_build_days('usage_date') }}
group by usage_date, holding_id
