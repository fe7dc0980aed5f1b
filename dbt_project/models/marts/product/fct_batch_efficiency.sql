-- One row per day, model and band of batch sizes: what a request and a million tokens cost there, against batch size 1.
with bands as (
    select
        requests.usage_date,
        requests.model,
        requests.batch_band,
        {{ request_figures('requests') }}
    from {{ ref('int_request_days') }} as requests
    where requests.batch_band is not null and requests.model is not null
    group by all
),

costed as (
    select
        usage_date, model, batch_band, request_count, unique_success_count, token_count, full_cost, basis,
        case when basis not in ('partial', 'unpriced') then full_cost::double / nullif(unique_success_count, 0) end as cost_per_inference,
        case when basis not in ('partial', 'unpriced') then cost_per_million_tokens end as cost_per_million_tokens
    from bands
)

select
    costed.*,
    singles.cost_per_inference as single_cost_per_inference,
    costed.cost_per_inference / nullif(singles.cost_per_inference, 0) as cost_per_inference_ratio,
    costed.cost_per_million_tokens / nullif(singles.cost_per_million_tokens, 0) as cost_per_million_tokens_ratio,
    case
        when costed.cost_per_inference is null then 'the cost is not known whole, or no request succeeded'
        when singles.model is null then 'no request of the day was alone in its batch'
        when singles.cost_per_inference is null then 'what a request alone in its batch costs is not known'
    end as reason,
    workspace.currency_code
from costed
cross join {{ source('config', 'workspace') }} as workspace
left join costed as singles on costed.usage_date = singles.usage_date and costed.model = singles.model and singles.batch_band = '1'
