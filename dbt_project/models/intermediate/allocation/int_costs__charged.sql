-- Everything that is charged, each cent once, before shared costs are shared out: one row per day, bill, payer, component and node.
select
    usage_date,
    usage_period,
    billing_period,
    source_name,
    billed_by,
    team,
    cost_centre,
    bucket,
    component,
    basis,
    cluster,
    pool,
    node,
    sum(charged_cost) as charged_cost,
    currency_code
from {{ ref('int_costs__detailed') }}
where {{ in_build_days('usage_date') }}
group by all
