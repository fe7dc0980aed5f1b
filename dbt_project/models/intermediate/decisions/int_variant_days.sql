-- Requests and costs of a model's versions and variants: one row per day, model, version and variant. A table, as training is one.
{{ config(materialized='table') }}

select
    requests.usage_date,
    requests.model,
    requests.model_version,
    requests.variant,
    {{ request_figures('requests') }}
from {{ ref('int_request_days') }} as requests
where requests.model is not null
group by all
