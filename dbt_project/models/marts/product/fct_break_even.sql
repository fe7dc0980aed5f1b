-- One row per day and pair of config/comparable_models.csv: a model of the own fleet against one that is bought by the token. The fleet costs the same
-- whatever it serves (fixed_cost, what its GPUs are allocated that day); the other model is priced at list price for the own tokens' mix, and as billed.
with fleet as (
    select usage_date, model, sum(cost) as fixed_cost, min(currency_code) as currency_code
    from {{ ref('int_model_days__pooled') }}
    where pool_kind = 'self_hosted' and figure = 'allocated'
    group by usage_date, model
),

seen as (
    select
        usage_date, model, {{ sum_hours('gpu_hours') }} as gpu_hours,
        coalesce({{ sum_hours("case when layer = 'productive' then gpu_hours end") }}, 0)
            / nullif({{ sum_hours("case when layer in ('productive', 'quiet') then gpu_hours end") }}, 0) as utilization_ratio
    from {{ ref('fct_gpu_hours') }}
    where is_held and model is not null and resource = 'gpu'
    group by usage_date, model
),

served as (
    select
        usage_date, model, sum(token_count)::bigint as token_count,
        sum(case when is_cached then 0 else coalesce(input_tokens, 0) end)::hugeint as input_tokens,
        sum(case when is_cached then 0 else coalesce(output_tokens, 0) end)::hugeint as output_tokens
    from {{ ref('int_request_days') }}
    where provider is null
    group by usage_date, model
),

bought as (
    select usage_date, lower(model) as model, sum(vendor_cost) as vendor_cost, sum(token_count) as token_count
    from {{ ref('int_request_days') }}
    where vendor_cost is not null and basis in ('billed', 'estimated')
    group by all
),

pairs as (
    select
        fleet.usage_date, fleet.model, trim(pairs.compared_with) as compared_with, fleet.fixed_cost, fleet.currency_code,
        seen.gpu_hours, seen.utilization_ratio, served.token_count,
        (served.input_tokens * prices.input_price + served.output_tokens * prices.output_price)::double / 1e18
            / nullif(served.input_tokens + served.output_tokens, 0) as list_price,
        bought.vendor_cost::double / nullif(bought.token_count, 0) as billed_price
    from fleet
    inner join {{ source('config', 'comparable_models') }} as pairs
        on lower(fleet.model) = lower(trim(pairs.model)) and {{ in_force('pairs', 'fleet.usage_date') }}
    left join seen on fleet.usage_date = seen.usage_date and fleet.model = seen.model
    left join served on fleet.usage_date = served.usage_date and fleet.model = served.model
    left join {{ ref('int_list_prices') }} as prices
        on fleet.usage_date = prices.usage_date and trim(pairs.compared_with) = prices.model and prices.provider is null
    left join bought on fleet.usage_date = bought.usage_date and lower(trim(pairs.compared_with)) = bought.model
),

reckoned as (
    select
        *,
        coalesce(list_price, billed_price) as api_price,
        fixed_cost::double / nullif(coalesce(list_price, billed_price), 0) as break_even_tokens,
        token_count / nullif(utilization_ratio, 0) as capacity_tokens
    from pairs
)

select
    usage_date,
    model,
    compared_with,
    fixed_cost,
    gpu_hours,
    utilization_ratio,
    token_count,
    fixed_cost::double * 1000000 / nullif(token_count, 0) as own_cost_per_million_tokens,
    fixed_cost::double * 1000000 / nullif(capacity_tokens, 0) as own_cost_per_million_tokens_when_full,
    case when utilization_ratio is null then 'nobody looked whether the GPUs worked' when utilization_ratio = 0 then 'the GPUs were never seen at work'
        when coalesce(token_count, 0) = 0 then 'no tokens that day' end as capacity_reason,
    list_price * 1000000 as api_list_cost_per_million_tokens,
    billed_price * 1000000 as api_billed_cost_per_million_tokens,
    api_price * 1000000 as api_cost_per_million_tokens,
    case when list_price is not null then 'list price for the own mix of tokens' when billed_price is not null then 'as billed, with its own mix of tokens' end
        as api_cost_basis,
    break_even_tokens::bigint as break_even_tokens,
    capacity_tokens::bigint as capacity_tokens,
    token_count / nullif(break_even_tokens, 0) as break_even_ratio,
    break_even_tokens <= capacity_tokens as is_within_capacity,
    (token_count * api_price - fixed_cost::double)::decimal(38, 12) as self_host_saving_cost,
    case when token_count = 0 then null when token_count >= break_even_tokens then 'self_host' when token_count < break_even_tokens then 'api' end
        as verdict,
    case
        when coalesce(token_count, 0) = 0 then 'no requests of ' || model || ' that day'
        when api_price is null then 'no price and no bill of ' || compared_with || ' that day'
    end as verdict_reason,
    currency_code
from reckoned
