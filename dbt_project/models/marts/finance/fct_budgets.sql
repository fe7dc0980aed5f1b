-- Budgets of config/budgets.csv month by month: the amount, what is charged of it so far, and what is left. A budget counts whole in each month in
-- which it is in force on any day, the newest one where there are several. Teams and cost centres are held to what the ledger charges them,
-- markup included; the whole and providers to the cost alone. What the ledger does not tell apart (cost `gpu`; cluster, pool, tenant, feature,
-- model) is as the models compute it.
{{ config(materialized='view') }}

with posted as (
    select usage_period, {{ unfolded(charged_scopes()) }}, component = 'markup' as is_markup, basis, posted_cost
    from {{ ref('fct_postings') }}
    where bucket is not null
),

charged as (
    select 'everything' as cost_kind, scope, lower(scope_value) as scope_key, usage_period, sum(posted_cost) as charged_cost,
        coalesce(sum(posted_cost) filter (where basis = 'estimated'), 0) as estimated_cost
    from posted
    where case when scope = 'all' then not is_markup else scope_value is not null end
    group by all

    union all

    select cost_kind, scope, scope_key, date_trunc('month', usage_date)::date, sum(cost), null
    from {{ ref('int_budget_days') }}
    where cost_kind = 'gpu' or scope in ('tenant', 'feature', 'model')
    group by all
),

months as (
    select distinct usage_period as budget_period from charged
),

budgets as (
    select
        months.budget_period,
        lower(trim(budgets.scope)) as scope,
        nullif(trim(budgets.scope_value), '') as scope_value,
        lower(trim(coalesce(nullif(budgets.cost, ''), 'everything'))) as cost_kind,
        nullif(trim(budgets.owner), '') as owner,
        budgets.amount_per_month,
        upper(trim(budgets.currency)) as budget_currency
    from {{ source('config', 'budgets') }} as budgets
    inner join months
        on coalesce(budgets.valid_from, date '0001-01-01') < months.budget_period + interval 1 month
        and months.budget_period < coalesce(budgets.valid_to, date '9999-12-31')
    qualify row_number() over (
        partition by months.budget_period, lower(trim(budgets.scope)), lower(nullif(trim(budgets.scope_value), '')),
            lower(trim(coalesce(nullif(budgets.cost, ''), 'everything')))
        order by budgets.valid_from desc nulls last
    ) = 1
),

converted as (
    select
        budgets.*,
        case when budgets.cost_kind = 'everything' and budgets.scope in ('all', 'team', 'cost_centre', 'provider') then 'ledger' else 'models' end
            as charged_from,
        {{ convert_money('budgets.amount_per_month', 'case when budgets.budget_currency = workspace.currency_code then 1 else rates.rate end') }}
            ::decimal(38, 12) as budget_amount,
        workspace.currency_code
    from budgets
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'exchange_rates') }} as rates
        on budgets.budget_currency = rates.from_currency and rates.to_currency = workspace.currency_code
        and {{ in_force('rates', 'budgets.budget_period') }}
),

-- no posting is nothing charged; no figure of the models is not known
held as (
    select
        converted.*,
        case when converted.charged_from = 'ledger' then coalesce(charged.charged_cost, 0) else charged.charged_cost end::decimal(38, 12)
            as charged_cost,
        case when converted.charged_from = 'ledger' then coalesce(charged.estimated_cost, 0) end::decimal(38, 12) as estimated_cost
    from converted
    left join charged
        on converted.cost_kind = charged.cost_kind and converted.scope = charged.scope
        and lower(converted.scope_value) is not distinct from charged.scope_key and converted.budget_period = charged.usage_period
)

select
    budget_period,
    scope,
    scope_value,
    cost_kind,
    owner,
    budget_amount,
    charged_cost,
    estimated_cost,
    (budget_amount - charged_cost)::decimal(38, 12) as remaining_amount,
    charged_cost::double / nullif(budget_amount, 0)::double as used_ratio,
    charged_from,
    currency_code
from held
