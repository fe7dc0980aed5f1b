-- Requests and tokens of each day, model, team that was named (NULL: none) and customer, and what is owed for them; a model
-- without a bill and a price costs an unknown amount, NULL.
with tokens as (
    select
        day, provider, model, team, customer,
        sum(request_count)::bigint as request_count,
        sum(success_count)::bigint as success_count,
        sum(fresh_tokens)::bigint as fresh_tokens,
        sum(cached_tokens)::bigint as cached_tokens,
        sum(output_tokens)::bigint as output_tokens
    from token_hours
    group by all
),

-- millionths of a USD that a model's servers cost in a day: whole GPU-days
served as (
    select day, model, sum((until_second - from_second) * gpu_count * price)::hugeint as cost
    from held_days
    where kind = 'server'
    group by all
),

list_prices as (
    select
        model,
        max(price_per_million) filter (token_kind = 'input') as input_price,
        max(price_per_million) filter (token_kind = 'cached_input') as cached_price,
        max(price_per_million) filter (token_kind = 'output') as output_price
    from prices
    group by model
)

select
    getvariable('start') + day::integer as usage_date,
    provider as provider_name,
    model,
    team,
    customer,
    request_count,
    success_count,
    fresh_tokens + cached_tokens as input_tokens,
    cached_tokens as cached_input_tokens,
    output_tokens,
    fresh_tokens + cached_tokens + output_tokens as token_count,
    case
        -- a model-day's tokens divide its cost without a remainder
        when served.cost is not null then (
            (served.cost * 1000000 * token_count // sum(token_count) over (partition by day, model))::decimal(25, 0)
            * 0.000000000001::decimal(13, 12)
        )::decimal(38, 12)
        when input_price is not null then (
            (fresh_tokens * input_price + cached_tokens * cached_price + output_tokens * output_price) * 0.000001
        )::decimal(38, 12)
    end as cost
from tokens
left join served using (day, model)
left join list_prices using (model)
order by usage_date, model, team, customer
