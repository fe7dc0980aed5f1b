-- Capitalised training, day by day: one row per rule of config/training_runs.csv and day in service. What the run cost becomes a cost of the
-- inferences it serves: by unique successful requests until `life` of them are served, or evenly over `life` days. Running totals are cut in whole units, so
-- that the days add up to the run's cost exactly. A table: each day depends on those before.
{{ config(materialized='table') }}

with runs as (
    select rule_id, currency_code, sum(cost) as cost
    from {{ ref('int_training_run_days') }}
    group by all
),

served as (
    select
        rules.rule_id, tokens.usage_date, sum(tokens.unique_success_count)::bigint as inference_count
    from {{ source('config', 'training_runs') }} as rules
    inner join {{ ref('int_token_days__priced') }} as tokens
        on lower(trim(rules.model)) = lower(tokens.model) and tokens.usage_date >= rules.in_service_on
        and (rules.model_version is null or lower(trim(rules.model_version)) = lower(tokens.model_version))
    group by all
),

last_day as (
    select (horizon_at - interval 1 microsecond)::date as last_date from {{ source('meta', 'horizon') }}
),

days as (
    select rules.rule_id, calendar.usage_date, coalesce(served.inference_count, 0) as inference_count
    from {{ source('config', 'training_runs') }} as rules
    inner join (
        select distinct usage_date from {{ source('meta', 'delivery_days') }}
        union
        select usage_date from {{ ref('int_token_days__priced') }}
    ) as calendar on calendar.usage_date >= rules.in_service_on
    inner join last_day on calendar.usage_date <= last_day.last_date
    left join served on rules.rule_id = served.rule_id and calendar.usage_date = served.usage_date
),

worn as (
    select
        days.rule_id, days.usage_date, days.inference_count, runs.cost, runs.currency_code, rules.amortise_by, rules.life::bigint as life,
        least(case rules.amortise_by
            when 'inferences' then (sum(days.inference_count) over until_today)::bigint
            else datediff('day', rules.in_service_on, days.usage_date) + 1
        end, rules.life::bigint) as worn_until,
        least(case rules.amortise_by
            when 'inferences' then (sum(days.inference_count) over until_today - days.inference_count)::bigint
            else coalesce(datediff('day', rules.in_service_on, lag(days.usage_date) over until_today) + 1, 0)
        end, rules.life::bigint) as worn_before
    from days
    inner join {{ source('config', 'training_runs') }} as rules on days.rule_id = rules.rule_id
    inner join runs on days.rule_id = runs.rule_id
    window until_today as (partition by days.rule_id order by days.usage_date)
)

select
    rule_id,
    usage_date,
    inference_count,
    amortise_by,
    currency_code,
    {{ from_units(whole_division(to_units('cost') ~ ' * worn_until', 'life') ~ ' - '
        ~ whole_division(to_units('cost') ~ ' * worn_before', 'life')) }} as amortised_cost
from worn
where worn_until > worn_before
