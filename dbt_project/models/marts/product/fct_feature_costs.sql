-- One row per day and feature: requests, tokens and what they cost, with how long they took.
with costs as (
    select
        requests.usage_date,
        requests.feature,
        workspace.currency_code,
        {{ request_figures('requests') }}
    from {{ ref('int_request_days') }} as requests
    cross join {{ source('config', 'workspace') }} as workspace
    group by all
)

select
    costs.*,
    stats.latency_ms_p50,
    stats.latency_ms_p95,
    stats.latency_ms_p99
from costs
left join {{ ref('fct_request_stats') }} as stats
    on costs.usage_date = stats.usage_date and stats.dimension = 'feature' and costs.feature is not distinct from stats.dimension_value
