-- One row per source: its newest month's money without an owner. Absolute amounts, so that a credit hides nothing.
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as billing_lines from raw.billing_lines group by all
),

newest as (
    select *, coalesce(source_name, '') as source
    from intermediate.int_chargeback
    -- what was shared out was somebody's or nobody's before: its negating rows would count twice
    where component not like 'shared: %'
    qualify usage_period = max(usage_period) over (partition by source_name)
),

by_source as (
    select
        source,
        max(usage_period) as usage_period,
        count(*) as row_count,
        sum(case when bucket = 'unowned' then charged_cost else 0 end) as unowned_cost,
        sum(case when bucket = 'unowned' then abs(charged_cost) else 0 end)::double
        / nullif(sum(abs(charged_cost))::double, 0) as unowned_ratio,
        max(currency_code) as currency_code
    from newest
    group by source
)

select
    coalesce(by_source.source, billed.source_name) as source_name,
    coalesce(billed.billing_lines, 0) as billing_lines,
    by_source.usage_period,
    coalesce(by_source.row_count, 0) as row_count,
    by_source.unowned_cost,
    by_source.unowned_ratio,
    by_source.currency_code
from by_source
full join billed on by_source.source = billed.source_name
order by 1
