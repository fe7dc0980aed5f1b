-- One row per GPU model of the newest three months: hours by layer and the cost of an hour on two bases. `held`: cost
-- of held hours by held hours. `all_in`: cost of held, idle, down and stranded hours by held hours. Hours whose cost is
-- not known are in neither; `reasons` says why it is not known. `productive_ratio`: of the held hours in which somebody
-- looked; `unseen_hours` are held ones in which nobody did.
with hours as (
    select
        coalesce(gpu_model, 'model unknown') as gpu_model,
        min(usage_date) as first_date,
        max(usage_date) as last_date,
        sum(gpu_hours) filter (is_held) as held_hours,
        sum(gpu_hours) filter (layer = 'productive') as productive_hours,
        sum(gpu_hours) filter (layer in ('productive', 'quiet')) as seen_hours,
        sum(gpu_hours) filter (is_held and layer = 'unknown') as unseen_hours,
        sum(gpu_hours) filter (layer = 'idle') as idle_hours,
        sum(gpu_hours) filter (layer = 'down') as down_hours,
        sum(gpu_hours) filter (layer = 'stranded') as stranded_hours,
        sum(gpu_hours) filter (layer = 'unknown' and not is_held) as unknown_hours,
        coalesce(sum(gpu_hours) filter (is_held and allocated_cost is null), 0) as unpriced_held_hours,
        coalesce(sum(gpu_hours) filter (allocated_cost is null), 0) as unpriced_hours,
        sum(allocated_cost) filter (is_held) as held_cost,
        sum(allocated_cost) filter (is_held or layer in ('idle', 'down', 'stranded')) as all_in_cost
    from engineering.fct_gpu_days
    where
        gpu_hours > 0
        and usage_date >= (
            select date_trunc('month', max(usage_date)) - interval 2 month from engineering.fct_gpu_days
        )
    group by all
),

unpriced as (
    select distinct
        coalesce(gpu_model, 'model unknown') as gpu_model,
        coalesce(cost_reason, 'no reason given') as reason
    from engineering.fct_gpu_hours
    where
        allocated_cost is null
        and gpu_hours > 0
        and usage_date >= (
            select date_trunc('month', max(usage_date)) - interval 2 month from engineering.fct_gpu_hours
        )
),

reasons as (
    select gpu_model, string_agg(reason, '; ' order by reason) as reasons
    from unpriced
    group by gpu_model
)

select
    hours.*,
    hours.held_cost / nullif(hours.held_hours - hours.unpriced_held_hours, 0) as held_cost_per_gpu_hour,
    hours.all_in_cost / nullif(hours.held_hours - hours.unpriced_held_hours, 0) as all_in_cost_per_gpu_hour,
    case when hours.seen_hours > 0 then coalesce(hours.productive_hours, 0) / hours.seen_hours end as productive_ratio,
    reasons.reasons
from hours
left join reasons on hours.gpu_model = reasons.gpu_model
order by hours.held_hours desc nulls last, hours.gpu_model
