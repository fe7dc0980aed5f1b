-- The rules of config/cost_sharing.csv in force on each of the build's days: one row per day, step and cost that is shared.
-- pool_key is the cost in one spelling: `bucket:idle`, `team:platform`, `component:storage`.
{{ config(materialized='table') }}

select
    build_days.usage_date,
    rules.step,
    {{ one_spelling('rules.cost') }} as pool_key,
    rules.rule_id,
    rules.rule_version,
    rules.cost,
    coalesce(rules.within, 'everything') as within,
    rules.method,
    lower(trim(rules.driver)) as driver,
    rules.receivers
from {{ source('config', 'cost_sharing') }} as rules
inner join {{ source('meta', 'build_days') }} as build_days on {{ in_force('rules', 'build_days.usage_date') }}
-- an old version of one rule and a new rule can speak of the same cost: one of them decides
qualify row_number() over (
    partition by build_days.usage_date, rules.step, {{ one_spelling('rules.cost') }} order by rules.rule_id, rules.rule_version desc
) = 1
