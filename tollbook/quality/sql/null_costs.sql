-- One row per mart with costs: rows whose cost is NULL, the share of the usage they are, and the reasons they give.
with costs as (
    select 'engineering.fct_gpu_hours' as mart, gpu_hours as quantity, allocated_cost as cost, cost_reason
    from engineering.fct_gpu_hours
    union all
    select 'engineering.fct_jobs', gpu_hours, cost, cost_reason
    from engineering.fct_jobs
    union all
    select 'product.fct_token_costs', token_count, full_cost, cost_reason
    from product.fct_token_costs
),

by_reason as (
    select
        mart,
        case when cost is null then coalesce(nullif(trim(cost_reason), ''), 'no reason') end as reason,
        count(*) as row_count,
        sum(quantity)::double as quantity
    from costs
    group by all
)

select
    marts.mart,
    marts.unit,
    coalesce(sum(row_count), 0)::bigint as row_count,
    coalesce(sum(row_count) filter (where reason is not null), 0)::bigint as null_rows,
    -- the share of the rows where nothing was used at all
    coalesce(
        coalesce(sum(quantity) filter (where reason is not null), 0) / nullif(sum(quantity), 0),
        coalesce(sum(row_count) filter (where reason is not null), 0) / sum(row_count)
    ) as null_ratio,
    coalesce(sum(row_count) filter (where reason = 'no reason'), 0)::bigint as without_reason,
    string_agg(reason || ' (' || row_count || ' rows)', ', ' order by row_count desc, reason) as reasons
from (
    values ('engineering.fct_gpu_hours', 'GPU hours'), ('engineering.fct_jobs', 'GPU hours'),
        ('product.fct_token_costs', 'tokens')
) as marts (mart, unit)
left join by_reason on marts.mart = by_reason.mart
group by all
order by marts.mart
