-- One row per day of the newest three months and layer: GPU hours; a day without any is absent, not 0. Held hours that
-- nobody looked at are `unseen`, apart from hours of which nothing is known.
select
    usage_date,
    case when layer = 'unknown' and is_held then 'unseen' else layer end as layer,
    sum(gpu_hours) as gpu_hours
from engineering.fct_gpu_days
where
    gpu_hours > 0
    and usage_date >= (
        select date_trunc('month', max(usage_date)) - interval 2 month from engineering.fct_gpu_days
    )
group by all
order by all
