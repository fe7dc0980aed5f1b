-- A day's amortised training on the requests that the model served: one row per rule, day and row of int_token_days__priced, exact, by unique
-- successful requests. On a day that served none it stays in product.fct_model_assets alone. A table, as int_training_days.
{{ config(materialized='table') }}

with shares as (
    select
        days.usage_date, days.rule_id, days.amortise_by, days.currency_code, days.amortised_cost,
        tokens.token_row, tokens.unique_success_count as weight
    from {{ ref('int_training_days') }} as days
    inner join {{ source('config', 'training_runs') }} as rules on days.rule_id = rules.rule_id
    inner join {{ ref('int_token_days__priced') }} as tokens
        on days.usage_date = tokens.usage_date and lower(trim(rules.model)) = lower(tokens.model)
        and (rules.model_version is null or lower(trim(rules.model_version)) = lower(tokens.model_version))
    where tokens.unique_success_count > 0
)

{{ split_exact('shares', by=['usage_date', 'rule_id'], amount='amortised_cost', weight='weight', tie_break=['token_row'],
    keep=['usage_date', 'rule_id', 'amortise_by', 'currency_code', 'token_row']) }}
