-- One row per day, provider, model and kind of cache: what it served, what that saved before and after what writing and keeping it cost.
-- `prompt`: the provider's cache of prompts, at the price book's prices. `answers`: answers given without asking the model, each worth what an
-- answer of the model costs per token that day.
with requests as (
    select
        usage_date, provider, model, is_cached,
        sum(request_count)::bigint as request_count,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        sum(cache_write_tokens)::bigint as cache_write_tokens,
        sum(token_count)::bigint as token_count,
        sum(coalesce(vendor_cost, serving_cost)) as model_cost,
        bool_or(basis in ('partial', 'unpriced')) as lacks_cost,
        {{ sum_if_all('cache_saving_cost') }} as net_saving_cost
    from {{ ref('int_request_days') }}
    where model is not null
    group by all
),

kept as (
    select
        usage_date, provider_name as provider, model,
        sum(cost) filter (where component in ('cache', 'cache_storage', 'prompt_cache')) as prompt_storage_cost,
        sum(cost) filter (where component in ('answer_cache', 'response_cache', 'semantic_cache')) as answer_storage_cost
    from {{ ref('fct_request_components') }}
    group by all
),

prompts as (
    select
        requests.usage_date, requests.provider, requests.model, 'prompt' as cache_kind,
        requests.request_count, null::bigint as served_request_count,
        requests.input_tokens as eligible_tokens, requests.cached_input_tokens as served_tokens, requests.cache_write_tokens as written_tokens,
        requests.net_saving_cost,
        case
            when coalesce(requests.cache_write_tokens, 0) = 0 then 0::decimal(38, 12)
            else ({{ from_units(cost_units('requests.cache_write_tokens * (prices.cache_write_5m_price - prices.input_price)')) }})
        end as write_cost,
        coalesce(kept.prompt_storage_cost, 0) as storage_cost,
        case
            when requests.net_saving_cost is null then 'the price book lacks a price of cached or plain input'
            when requests.cache_write_tokens > 0 and prices.cache_write_5m_price is null then 'the price book lacks a price of cache writes'
        end as reason
    from requests
    left join {{ ref('int_list_prices') }} as prices
        on requests.usage_date = prices.usage_date and requests.model = prices.model and requests.provider is not distinct from prices.provider
    left join kept
        on requests.usage_date = kept.usage_date and requests.model = kept.model and requests.provider is not distinct from kept.provider
    where not requests.is_cached and (requests.cached_input_tokens > 0 or requests.cache_write_tokens > 0)
),

answers as (
    select
        served.usage_date, served.provider, served.model, 'answers' as cache_kind,
        served.request_count + coalesce(asked.request_count, 0) as request_count, served.request_count as served_request_count,
        served.token_count + coalesce(asked.token_count, 0) as eligible_tokens, served.token_count as served_tokens, null::bigint as written_tokens,
        case when not coalesce(asked.lacks_cost, true) and asked.token_count > 0
            then (served.token_count * (asked.model_cost::double / asked.token_count))::decimal(38, 12) end as net_saving_cost,
        0::decimal(38, 12) as write_cost,
        coalesce(kept.answer_storage_cost, 0) as storage_cost,
        case when coalesce(asked.lacks_cost, true) then 'what an answer of the model costs that day is not known' end as reason
    from requests as served
    left join requests as asked
        on served.usage_date = asked.usage_date and served.model = asked.model and served.provider is not distinct from asked.provider
        and not asked.is_cached
    left join kept
        on served.usage_date = kept.usage_date and served.model = kept.model and served.provider is not distinct from kept.provider
    where served.is_cached
)

select
    returns.usage_date,
    returns.provider as provider_name,
    returns.model,
    returns.cache_kind,
    returns.request_count,
    returns.served_request_count,
    returns.eligible_tokens,
    returns.served_tokens,
    returns.written_tokens,
    (returns.net_saving_cost + returns.write_cost)::decimal(38, 12) as gross_saving_cost,
    returns.write_cost::decimal(38, 12) as write_cost,
    returns.storage_cost::decimal(38, 12) as storage_cost,
    (returns.net_saving_cost - returns.storage_cost)::decimal(38, 12) as net_saving_cost,
    (returns.net_saving_cost - returns.storage_cost)::double / nullif((returns.write_cost + returns.storage_cost)::double, 0) as return_ratio,
    coalesce(
        returns.reason, case when returns.write_cost + returns.storage_cost = 0 then 'writing and keeping it cost nothing: there is no ratio' end
    ) as reason,
    workspace.currency_code
from (select * from prompts union all select * from answers) as returns
cross join {{ source('config', 'workspace') }} as workspace
