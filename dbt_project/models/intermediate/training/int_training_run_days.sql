-- What the training runs of config/training_runs.csv cost on a day: one row per day and rule, from what the jobs that the rule names held.
-- `job` is a pattern (* stands for anything) of job ids or names; holdings that serve a model train none.
select
    slots.usage_date,
    rules.rule_id,
    slots.currency_code,
    sum(slots.allocated_cost) as cost,
    count(distinct slots.job_id) as job_count
from {{ ref('int_slot_hours__allocated') }} as slots
inner join {{ source('config', 'training_runs') }} as rules
    on {{ matches_glob('slots.job_id', 'trim(rules.job)') }} or {{ matches_glob('slots.name', 'trim(rules.job)') }}
where slots.is_held and slots.model is null and not slots.is_unused_commitment and {{ in_build_days('slots.usage_date') }}
group by all
