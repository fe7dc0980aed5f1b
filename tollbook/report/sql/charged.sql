-- One row per billing period, bucket and basis: what was charged.
select
    coalesce(billing_period, usage_period) as billing_period,
    bucket,
    basis,
    sum(charged_cost) as charged_cost
from finance.fct_chargeback
group by all
order by all
