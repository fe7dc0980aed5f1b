-- One row per billing period, bucket and basis: what was charged, and what of it before shared costs moved. Cost alone: a markup is no money
-- that was spent.
select
    coalesce(billing_period, usage_period) as billing_period,
    bucket,
    basis,
    sum(charged_cost) as charged_cost,
    coalesce(sum(charged_cost) filter (where component is null or component not like 'shared: %'), 0)::decimal(38, 12) as direct_cost
from finance.fct_chargeback
where component is distinct from 'markup'
group by all
order by all
