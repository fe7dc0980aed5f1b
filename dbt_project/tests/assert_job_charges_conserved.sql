-- A rule's day of config/job_costs.csv whose cost, by job and with no job, is not exactly what the charges it names cost.
select matched.usage_date, matched.rule_id, matched.cost, shared.cost as cost_of_jobs
from (
    select usage_date, rule_id, sum(cost) as cost
    from {{ ref('int_job_charges__matched') }}
    where {{ in_build_days('usage_date') }}
    group by usage_date, rule_id
) as matched
full join (
    select usage_date, rule_id, sum(cost) as cost from {{ ref('int_job_charges') }} where {{ in_build_days('usage_date') }} group by usage_date, rule_id
) as shared
    on matched.usage_date = shared.usage_date and matched.rule_id = shared.rule_id
where coalesce(matched.cost, 0) <> coalesce(shared.cost, 0)
