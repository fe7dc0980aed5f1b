-- One row per term of the bridge, billing period and provider: the newest three months, and every
-- older one with a remainder.
select billing_period, coalesce(billed_by, 'provider unknown') as billed_by, term_order, term, sum(cost) as cost
from quality.fct_bridge
where
    billing_period >= (
        select date_trunc('month', max(billing_period)) - interval 2 month from quality.fct_bridge
    )
    or (billing_period, coalesce(billed_by, '')) in (
        select (billing_period, coalesce(billed_by, ''))
        from quality.fct_bridge
        where term = 'remainder' and cost is distinct from 0
    )
group by all
order by billing_period desc, billed_by, term_order
