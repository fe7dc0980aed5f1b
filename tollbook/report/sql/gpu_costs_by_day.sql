-- One row per GPU model (the eight most held) and day, gaps included: cost of a held hour, NULL where not known.
with days as (
    select
        usage_date,
        coalesce(gpu_model, 'model unknown') as gpu_model,
        sum(gpu_hours) as held_hours,
        sum(allocated_cost) / nullif(sum(gpu_hours) filter (allocated_cost is not null), 0) as cost_per_gpu_hour
    from engineering.fct_gpu_days
    where
        is_held
        and gpu_hours > 0
        and usage_date >= (
            select date_trunc('month', max(usage_date)) - interval 2 month from engineering.fct_gpu_days
        )
    group by all
),

models as (
    select gpu_model, sum(held_hours) as model_hours
    from days
    group by all
    order by model_hours desc, gpu_model
    limit 8
),

calendar as (
    select unnest(generate_series(min(usage_date), max(usage_date), interval 1 day))::date as usage_date
    from days
)

select calendar.usage_date, models.gpu_model, days.cost_per_gpu_hour
from calendar
cross join models
left join days using (usage_date, gpu_model)
order by models.model_hours desc, models.gpu_model, calendar.usage_date
