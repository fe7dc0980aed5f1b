-- One row per rule of config/training_runs.csv: what training cost, how much of it inferences have borne, and what is left.
with runs as (
    select rule_id, currency_code, sum(cost) as capitalised_cost, min(usage_date) as first_date, max(usage_date) as last_date
    from {{ ref('int_training_run_days') }}
    group by all
),

worn as (
    select rule_id, sum(amortised_cost) as amortised_cost, sum(inference_count)::bigint as inference_count, max(usage_date) as amortised_until_date
    from {{ ref('int_training_days') }}
    group by all
),

borne as (
    select rule_id, sum(allocated_cost) as borne_cost
    from {{ ref('int_training__shared') }}
    group by all
)

select
    rules.rule_id,
    rules.model,
    rules.model_version,
    rules.in_service_on as in_service_date,
    rules.amortise_by,
    rules.life::bigint as life,
    runs.first_date as first_cost_date,
    runs.last_date as last_cost_date,
    runs.capitalised_cost,
    coalesce(worn.amortised_cost, 0)::decimal(38, 12) as amortised_cost,
    coalesce(borne.borne_cost, 0)::decimal(38, 12) as borne_cost,
    (runs.capitalised_cost - coalesce(worn.amortised_cost, 0))::decimal(38, 12) as book_value_cost,
    coalesce(worn.inference_count, 0)::bigint as inference_count,
    worn.amortised_until_date,
    case when runs.capitalised_cost is null then 'no job that the rule names was allocated a cost' end as cost_reason,
    workspace.currency_code
from {{ source('config', 'training_runs') }} as rules
cross join {{ source('config', 'workspace') }} as workspace
left join runs on rules.rule_id = runs.rule_id
left join worn on rules.rule_id = worn.rule_id
left join borne on rules.rule_id = borne.rule_id
