-- A day and bill whose costs are more or less after they were shared out.
select usage_date, source_name, billed_by, billing_period, basis, step, rule_id, sum(moved_cost) as moved
from {{ ref('int_costs__shared') }}
where {{ in_build_days('usage_date') }}
group by all
having sum(moved_cost) <> 0
