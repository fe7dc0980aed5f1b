-- What a way of buying GPUs is worth: one row per day, cluster, pool, GPU model and purchase option, with what was held, what of it was of use
-- (it succeeded, or its work was saved) and what a useful GPU-hour cost, those run again included. Evictions count on the day they happened.
with held as (
    select
        usage_date, place_cluster as cluster, pool, gpu_model, purchase_option,
        count(distinct row(source_name, cluster, job_id, attempt)) as attempts,
        sum(gpu_hours) as gpu_hours,
        sum(allocated_cost) as known_cost,
        sum(hours_without_cost) as hours_without_cost,
        min(cost_reason) as cost_reason,
        {%- for fate in ['useful', 'lost', 'running', 'unknown'] %}
        coalesce(sum(gpu_hours) filter (where fate = '{{ fate }}'), 0) as {{ fate }}_gpu_hours,
        coalesce(sum(allocated_cost) filter (where fate = '{{ fate }}'), 0) as {{ fate }}_cost{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_attempt_days') }}
    where gpu_hours > 0
    group by all
),

-- where an attempt was when it was put out: its last day's place with most GPU time
evicted as (
    select usage_date, cluster, pool, gpu_model, purchase_option, count(*) as evictions
    from (
        select days.usage_date, days.place_cluster as cluster, days.pool, days.gpu_model, days.purchase_option
        from {{ ref('int_attempt_days') }} as days
        inner join {{ ref('int_job_attempts') }} as attempts
            on days.source_name = attempts.source_name and days.cluster = attempts.cluster and days.job_id = attempts.job_id
            and days.attempt = attempts.attempt
        where attempts.outcome = 'preempted' and days.gpu_hours > 0
        qualify row_number() over (
            partition by days.source_name, days.cluster, days.job_id, days.attempt
            order by days.usage_date desc, days.gpu_hours desc, days.place_cluster, days.pool, days.gpu_model, days.purchase_option
        ) = 1
    )
    group by all
)

select
    held.usage_date,
    nullif(held.cluster, '') as cluster,
    held.pool,
    held.gpu_model,
    held.purchase_option,
    held.purchase_option in ('spot', 'preemptible', 'low_priority') as is_spot,
    held.attempts,
    coalesce(evicted.evictions, 0) as evictions,
    held.gpu_hours::double as gpu_hours,
    held.useful_gpu_hours::double as useful_gpu_hours,
    held.lost_gpu_hours::double as lost_gpu_hours,
    held.running_gpu_hours::double as running_gpu_hours,
    held.unknown_gpu_hours::double as unknown_gpu_hours,
    case when held.hours_without_cost = 0 then held.known_cost end as cost,
    case when held.hours_without_cost = 0 then held.useful_cost end as useful_cost,
    case when held.hours_without_cost = 0 then held.lost_cost end as lost_cost,
    case when held.hours_without_cost = 0 then held.known_cost::double / held.gpu_hours::double end as cost_per_gpu_hour,
    -- what still runs, or of which nobody said how it ended, is neither of use nor lost
    case when held.hours_without_cost = 0 and held.useful_gpu_hours > 0
        then (held.useful_cost + held.lost_cost)::double / held.useful_gpu_hours::double end as cost_per_useful_gpu_hour,
    workspace.currency_code,
    held.cost_reason
from held
cross join {{ source('config', 'workspace') }} as workspace
left join evicted
    on held.usage_date = evicted.usage_date and held.cluster = evicted.cluster and held.pool is not distinct from evicted.pool
    and held.gpu_model is not distinct from evicted.gpu_model and held.purchase_option is not distinct from evicted.purchase_option
