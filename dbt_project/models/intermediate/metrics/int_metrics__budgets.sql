-- Cost error budgets: how much of what may be spent beyond a budget is gone. A budget of config/budgets.csv may be overspent by a tenth in a month;
-- each day that costs more than its share of the budget burns of that. A scope with budgets of both kinds is judged by the one of everything.
{{ config(materialized='table') }}
{% set allowed_share = 0.1 -%}

with days as (
    select cost_kind, scope, scope_key, usage_date, cost::double as cost from {{ ref('int_budget_days') }}
),

judged as (
    select
        days.usage_date,
        days.scope as dimension,
        nullif(trim(budgets.scope_value), '') as dimension_value,
        days.cost,
        budgets.amount_per_month::double * case when upper(trim(budgets.currency)) = workspace.currency_code then 1 else rates.rate end::double as amount,
        date_diff('day', date_trunc('month', days.usage_date), date_trunc('month', days.usage_date) + interval 1 month) as days_of_month
    from days
    cross join {{ source('config', 'workspace') }} as workspace
    inner join {{ source('config', 'budgets') }} as budgets
        on days.scope = lower(trim(budgets.scope)) and days.scope_key is not distinct from nullif(lower(trim(budgets.scope_value)), '')
        and days.cost_kind = lower(trim(coalesce(budgets.cost, 'everything'))) and {{ in_force('budgets', 'days.usage_date') }}
    left join {{ source('config', 'exchange_rates') }} as rates
        on upper(trim(budgets.currency)) = rates.from_currency and rates.to_currency = workspace.currency_code
        and {{ in_force('rates', 'days.usage_date') }}
    qualify row_number() over (partition by days.usage_date, days.scope, days.scope_key order by days.cost_kind) = 1
),

burned as (
    select *, greatest(cost - amount / days_of_month, 0) / nullif(amount * {{ allowed_share }}, 0) as burned_ratio
    from judged
),

windows as (
    select 'day' as grain, usage_date as period_start_at, usage_date + 1 as period_end_at, dimension, dimension_value, burned_ratio, 'billed' as basis
    from burned

    union all

    select
        'month', date_trunc('month', usage_date)::date, (date_trunc('month', usage_date) + interval 1 month)::date, dimension, dimension_value,
        case when count(burned_ratio) = count(*) then {{ sum_hours('burned_ratio') }} end, 'billed'
    from burned
    group by all
)

{{ metric_rows('windows', [{'metric_id': 'ai.error_budget_burn', 'measure': 'ratio', 'value': 'burned_ratio',
    'reason': 'the budget is 0, or has no exchange rate'}]) }}
