-- One row per billing period: billed and effective cost of the bills, and lines that lack one of them.
select
    date_trunc('month', billing_period_start)::date as billing_period,
    sum(reporting_billed_cost) as billed_cost,
    sum(reporting_effective_cost) as effective_cost,
    count(*) - count(reporting_billed_cost) as lines_without_billed_cost,
    count(*) - count(reporting_effective_cost) as lines_without_effective_cost
from finance.fct_charges
group by all
order by billing_period desc
