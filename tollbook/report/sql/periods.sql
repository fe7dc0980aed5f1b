-- The billing periods that have a bill or a charge, newest first.
select date_trunc('month', billing_period_start)::date as billing_period
from finance.fct_charges

union

select coalesce(billing_period, usage_period) as billing_period
from finance.fct_chargeback

order by billing_period desc nulls last
