-- Days on which all that teams are charged, a team's charges or a model's requests cost more than usual: one row per series and day, with what was usual, how unusual
-- the day is (robust z, macro robust_scores) and the money beyond. Corrections of bills are not counted, whatever day they fall on.
{{ config(materialized='table') }}

with corrected as (
    select charge_period_start::date as usage_date, team, sum(reporting_effective_cost) as cost
    from {{ ref('fct_charges') }}
    where lower(charge_class) = 'correction'
    group by all
),

teams as (
    select usage_date, team, sum(cost)::double as cost
    from (
        select usage_date, team, charged_cost as cost from {{ ref('int_chargeback_days') }} where bucket = 'allocated'
        union all
        select usage_date, team, -cost from corrected where team is not null
    )
    group by all
),

models as (
    select usage_date, model, sum(full_cost)::double as cost, {{ metric_basis('basis') }} as basis
    from {{ ref('fct_token_costs') }}
    where model is not null and full_cost is not null
    group by all
),

series as (
    select usage_date, 'all' as series, null as series_value, {{ sum_hours('cost') }} as cost, 'billed' as basis from teams group by usage_date
    union all
    select usage_date, 'team' as series, team, cost, 'billed' as basis from teams
    union all
    select usage_date, 'model' as series, model, cost, basis from models
),

scored as (
    {{ robust_scores('series', by=['series', 'series_value'], value='cost') }}
)

select
    usage_date,
    series,
    series_value,
    basis,
    cost,
    usual as usual_cost,
    score,
    coalesce(score > 3, false) as is_anomaly,
    case when score > 3 then cost - usual end as excess_cost
from scored
