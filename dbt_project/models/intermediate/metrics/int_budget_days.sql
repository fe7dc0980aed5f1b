-- What budgets of config/budgets.csv are held against, as the models compute it: one row per kind of cost, scope, name (in lower case; NULL for
-- all) and day. What teams, cost centres and providers are charged in the ledger is finance.fct_budgets' own.
{{ config(materialized='view') }}

with costs as (
    select
        'gpu' as cost_kind,
        {{ unfolded({
            'scope': ["'all'", "'team'", "'cost_centre'", "'cluster'", "'pool'"],
            'scope_value': ['null', 'team', 'cost_centre', 'cluster', 'pool'],
        }) }},
        hour_start_at::date as usage_date, cost
    from {{ ref('int_gpu_cost_hours') }}

    union all

    select 'everything' as cost_kind, {{ unfolded(charged_scopes()) }}, usage_date, charged_cost
    from {{ ref('int_chargeback_days') }}

    union all

    select
        'everything' as cost_kind,
        {{ unfolded({'scope': ["'tenant'", "'feature'", "'model'"], 'scope_value': ['tenant', 'feature', 'model']}) }},
        usage_date, full_cost
    from {{ ref('fct_token_costs') }}
)

select cost_kind, scope, lower(scope_value) as scope_key, usage_date, sum(cost)::decimal(38, 12) as cost
from costs
where scope = 'all' or scope_value is not null
group by all
