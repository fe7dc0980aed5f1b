-- One row per rule of cost_sharing.csv that decided: what it shared out to how many teams, and what was kept, why.
select
    rule_id,
    step,
    shared_cost_of,
    method,
    within,
    count(distinct team) filter (where entry = 'received') as receivers,
    coalesce(sum(moved_cost) filter (where entry = 'received'), 0)::decimal(38, 12) as shared_cost,
    coalesce(sum(kept_cost), 0)::decimal(38, 12) as kept_cost,
    string_agg(distinct kept_reason, ', ' order by kept_reason) as kept_reasons,
    min(usage_date) as first_date,
    max(usage_date) as last_date
from finance.fct_shared_costs
group by all
order by step, rule_id, shared_cost_of, method, within
