-- Requests of a day with all they cost: one row per row of int_token_days__priced. vendor_cost, serving_cost (own GPUs, or list price of an own
-- model without a bill), supporting_cost and training_cost add up to full_cost; each is NULL where it is not known.
{{ config(materialized='view') }}

with costs as (
    select
        usage_date, token_row,
        sum(cost) filter (where component = 'vendor') as vendor_cost,
        sum(cost) filter (where component like 'serving%') as serving_cost,
        sum(cost) filter (where component <> 'vendor' and component not like 'serving%') as supporting_cost,
        case when bool_and(used_cost is not null) then sum(used_cost) end as used_cost,
        bool_or(basis = 'estimated') as is_estimated
    from {{ ref('int_request_costs') }}
    group by all
),

training as (
    select usage_date, token_row, sum(allocated_cost) as training_cost
    from {{ ref('int_training__shared') }}
    group by all
),

served as (
    select usage_date, model, {{ sum_hours('held_gpu_hours') }} as gpu_hours
    from {{ ref('fct_gpu_hours') }}
    where is_held and model is not null
    group by all
)

select
    tokens.*,
    costs.vendor_cost,
    costs.serving_cost,
    costs.supporting_cost,
    training.training_cost,
    case
        when coalesce(costs.vendor_cost, costs.serving_cost, costs.supporting_cost, training.training_cost) is not null
            then coalesce(costs.vendor_cost, 0) + coalesce(costs.serving_cost, 0) + coalesce(costs.supporting_cost, 0) + coalesce(training.training_cost, 0)
    end as full_cost,
    costs.used_cost + coalesce(training.training_cost, 0) as used_full_cost,
    -- a model's GPU-hours follow its cost
    served.gpu_hours * (costs.serving_cost / nullif(sum(costs.serving_cost) over (partition by tokens.usage_date, tokens.model), 0)) as gpu_hours,
    case
        when coalesce(costs.vendor_cost, costs.serving_cost, costs.supporting_cost, training.training_cost) is null then 'unpriced'
        when coalesce(costs.vendor_cost, costs.serving_cost) is null and not tokens.is_cached then 'partial'
        when costs.is_estimated or tokens.is_sampled then 'estimated'
        else 'billed'
    end as basis
from {{ ref('int_token_days__priced') }} as tokens
left join costs on tokens.usage_date = costs.usage_date and tokens.token_row = costs.token_row
left join training on tokens.usage_date = training.usage_date and tokens.token_row = training.token_row
left join served on tokens.usage_date = served.usage_date and tokens.model = served.model and tokens.provider is null
