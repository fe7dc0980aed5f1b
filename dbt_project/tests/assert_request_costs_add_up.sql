-- A day whose components do not add up to what its requests cost, or whose requests bear more or less of a model than it cost.
with components as (
    select usage_date, sum(cost) as cost, coalesce(sum(cost) filter (where component = 'vendor' or component like 'serving%'), 0) as model_cost
    from {{ ref('fct_request_components') }}
    group by usage_date
),

requests as (
    select usage_date, sum(full_cost) as cost
    from {{ ref('fct_token_costs') }}
    group by usage_date
),

models as (
    select usage_date, sum(cost) as cost
    from (
        select usage_date, allocated_cost as cost from {{ ref('int_model_days__allocated') }} where figure = 'allocated'
        union all
        select usage_date, list_cost as cost from {{ ref('int_token_days__priced') }} where pool_kind is null
    )
    group by usage_date
)

select requests.usage_date, requests.cost, components.cost as components_cost, components.model_cost, models.cost as models_cost
from requests
full join components on requests.usage_date = components.usage_date
full join models on requests.usage_date = models.usage_date
where requests.cost is distinct from components.cost or coalesce(components.model_cost, 0) <> coalesce(models.cost, 0)
