-- One row per provider and model of the newest three months: tokens, cost, cost per million, tokens by basis. Tokens whose
-- model has no cost are in `unpriced_tokens` and not in the cost per million, whatever else of them is known; `reasons` says why.
with days as (
    select
        *,
        coalesce(nullif(provider_name, ''), 'own fleet') as provider,
        (full_cost is null or basis in ('partial', 'unpriced')) as is_unpriced,
        case when full_cost is null or basis in ('partial', 'unpriced') then coalesce(cost_reason, 'no reason given') end as reason
    from product.fct_token_costs
    where usage_date >= (
        select date_trunc('month', max(usage_date)) - interval 2 month from product.fct_token_costs
    )
)

select
    provider,
    coalesce(model, 'model unknown') as model,
    min(usage_date) as first_date,
    max(usage_date) as last_date,
    sum(request_count)::bigint as request_count,
    sum(token_count)::bigint as token_count,
    coalesce(sum(token_count) filter (is_unpriced), 0)::bigint as unpriced_tokens,
    coalesce(sum(token_count) filter (basis = 'billed' and not is_unpriced), 0)::bigint as billed_tokens,
    coalesce(sum(token_count) filter (basis = 'estimated' and not is_unpriced), 0)::bigint as estimated_tokens,
    sum(full_cost) as full_cost,
    sum(full_cost) filter (not is_unpriced) / nullif(sum(token_count) filter (not is_unpriced), 0) * 1e6 as cost_per_million_tokens,
    string_agg(distinct reason, '; ' order by reason) as reasons
from days
group by all
order by sum(full_cost) desc nulls last, sum(token_count) desc nulls last, provider, model
