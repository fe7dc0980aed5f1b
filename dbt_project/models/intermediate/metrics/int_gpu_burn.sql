-- How fast money goes on GPUs against plan: one row per hour, dimension and value with a budget of cost `gpu` (config/budgets.csv; dimension all in
-- any case): the mean cost of an hour over the 1, 6 and 24 hours that end with it, and what was planned for an hour of that month.
{{ config(materialized='table') }}
{% set dimensions = ['team', 'cost_centre', 'cluster', 'pool'] -%}
{% set windows = [1, 6, 24] -%}

with hours as (
    select 'all' as dimension, null::varchar as dimension_value, hour_start_at, sum(cost) as cost, sum(parts_without_cost) as parts_without_cost
    from {{ ref('int_gpu_cost_hours') }}
    group by hour_start_at

    {% for name in dimensions -%}
    union all

    select '{{ name }}', {{ name }}, hour_start_at, sum(cost), sum(parts_without_cost)
    from {{ ref('int_gpu_cost_hours') }}
    where {{ name }} is not null
    group by {{ name }}, hour_start_at

    {% endfor -%}
),

first_hour as (
    select min(hour_start_at) as first_at from hours
),

windows as (
    select
        hours.dimension, hours.dimension_value, hours.hour_start_at, hours.hour_start_at::date as usage_date,
        {%- for length in windows %}
        case when hours.hour_start_at >= first_hour.first_at + interval {{ length - 1 }} hour then
            sum(hours.cost) over last_{{ length }} / {{ length }}.0
        end::double as cost_{{ length }}h,
        {%- endfor %}
        sum(hours.parts_without_cost) over last_24 > 0 as lacks_costs
    from hours
    cross join first_hour
    window
        {% for length in windows -%}
        last_{{ length }} as (
            partition by hours.dimension, hours.dimension_value order by hours.hour_start_at
            range between interval {{ length - 1 }} hour preceding and current row
        ){{ ',' if not loop.last }}
        {% endfor -%}
),

planned as (
    select
        lower(trim(budgets.scope)) as scope,
        nullif(trim(budgets.scope_value), '') as scope_value,
        budgets.valid_from,
        budgets.valid_to,
        budgets.amount_per_month::double as amount,
        upper(trim(budgets.currency)) as currency
    from {{ source('config', 'budgets') }} as budgets
    where lower(trim(budgets.cost)) = 'gpu'
)

select
    windows.*,
    planned.amount * case when planned.currency = workspace.currency_code then 1 else rates.rate end::double
        / (24 * date_diff('day', date_trunc('month', windows.usage_date), date_trunc('month', windows.usage_date) + interval 1 month))
        as planned_cost_per_hour,
    planned.scope is not null as has_budget
from windows
cross join {{ source('config', 'workspace') }} as workspace
left join planned
    on windows.dimension = planned.scope and lower(coalesce(windows.dimension_value, '')) = lower(coalesce(planned.scope_value, ''))
    and {{ in_force('planned', 'windows.usage_date') }}
left join {{ source('config', 'exchange_rates') }} as rates
    on planned.currency = rates.from_currency and rates.to_currency = workspace.currency_code and {{ in_force('rates', 'windows.usage_date') }}
where planned.scope is not null or windows.dimension = 'all'
