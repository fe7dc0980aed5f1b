-- What was used of vendors' models by day, as three sides count it: `log` (what was logged here), `vendor` (its usage report), `bill` (token
-- quantities of its bill). One row per side, provider, model as that side names it, service tier, account, key and what else a price
-- depends on. Of the log: tries that failed without a token and answers from a cache of answers were never the vendor's, and stand apart.
with keyed_providers as (
    select distinct lower(trim(provider)) as provider from {{ source('raw', 'vendor_usage') }} where api_key is not null
),

requests as (
    select
        requests.*,
        coalesce(requests.sample_weight, 1) as weight,
        coalesce(requests.input_tokens, 0) + coalesce(requests.output_tokens, 0) = 0 as is_without_tokens,
        case
            when requests.other_columns is not null and keyed.provider is not null
                then coalesce({{ json_field('requests.other_columns', 'api_key_id') }}, {{ json_field('requests.other_columns', 'api_key') }})
        end as api_key
    from {{ ref('int_requests__keyed') }} as requests
    left join keyed_providers as keyed on lower(trim(requests.provider)) = keyed.provider
    where requests.provider is not null and requests.model is not null and {{ in_build_days('requests.usage_date') }}
),

logged as (
    select
        requests.usage_date,
        'log' as side,
        requests.provider,
        requests.model as named_model,
        requests.tier as told_tier,
        null::varchar as account,
        null::varchar as project,
        requests.api_key,
        requests.tokenizer_version,
        requests.priced_region,
        requests.priced_quantity_from,
        {{ moment_of_day('requests.usage_date', 'requests.priced_microseconds') }} as priced_at,
        false as is_price_inexact,
        round(coalesce(sum(requests.weight) filter (where not is_cached and (is_success or not is_without_tokens)), 0))::bigint
            as request_count,
        round(coalesce(sum(requests.weight) filter (where not is_success and is_without_tokens and not is_cached), 0))::bigint
            as failed_request_count,
        round(coalesce(sum(requests.weight) filter (where not is_success and not is_without_tokens and not is_cached), 0))::bigint
            as failed_with_tokens_count,
        round(coalesce(sum(requests.weight) filter (where is_cached), 0))::bigint as cached_answer_count,
        {%- for column in ['input', 'cached_input', 'cache_write', 'cache_write_1h', 'output'] %}
        round(sum(requests.{{ column }}_tokens * requests.weight) filter (where not is_cached))::bigint as {{ column }}_tokens,
        {%- endfor %}
        round(sum((coalesce(requests.input_audio_tokens, 0) + coalesce(requests.output_audio_tokens, 0)) * requests.weight)
            filter (where not is_cached))::bigint as audio_tokens,
        bool_or(requests.sample_weight is not null and requests.sample_weight <> 1) as is_sampled
    from requests
    group by all
),

reported as (
    select
        usage.*,
        try_cast(regexp_extract(lower(usage.context_tier), '^>?([0-9]+)k', 1) as bigint) * 1000 + 1 as context_from,
        cuts.is_by_region,
        cuts.quantity_cuts,
        cuts.day_cuts
    from {{ ref('stg_telemetry__vendor_usage') }} as usage
    left join {{ ref('int_prices__cuts') }} as cuts
        on usage.vendor_model = cuts.usage_model and usage.provider = cuts.usage_provider
    where usage.vendor_model is not null and {{ in_build_days('usage.usage_date') }}
),

counted as (
    select
        usage_date,
        'vendor' as side,
        provider,
        vendor_model as named_model,
        service_tier as told_tier,
        account,
        project,
        api_key,
        case when is_by_region then lower(trim(region)) end as priced_region,
        {{ largest_not_above('quantity_cuts', "case when lower(context_tier) = 'long' then 1000000000 else coalesce(context_from, 0) end") }}
            as priced_quantity_from,
        {{ moment_of_day('usage_date', largest_not_above('day_cuts', microseconds_of_day('started_at'))) }} as priced_at,
        -- a price by prompt length or hour, of what is told neither by length nor by hour
        bool_or((quantity_cuts is not null and context_tier is null)
            or (day_cuts is not null and ended_at > started_at + interval 1 hour)) as is_price_inexact,
        sum(request_count)::bigint as request_count,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        case when count(cache_write_5m_tokens) + count(cache_write_1h_tokens) > 0
            then sum(coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0)) end::bigint as cache_write_tokens,
        sum(cache_write_1h_tokens)::bigint as cache_write_1h_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(audio_tokens)::bigint as audio_tokens
    from reported
    group by all
),

billed as (
    select
        usage_date,
        'bill' as side,
        billed_by as provider,
        model as named_model,
        service_tier as told_tier,
        0 as priced_quantity_from,
        usage_date::timestamp as priced_at,
        false as is_price_inexact,
        coalesce(sum(tokens) filter (where token_type in ('input', 'cached_input')), 0)::bigint as input_tokens,
        coalesce(sum(tokens) filter (where token_type = 'cached_input'), 0)::bigint as cached_input_tokens,
        coalesce(sum(tokens) filter (where token_type like 'cache_write%'), 0)::bigint as cache_write_tokens,
        coalesce(sum(tokens) filter (where token_type = 'cache_write_1h'), 0)::bigint as cache_write_1h_tokens,
        coalesce(sum(tokens) filter (where token_type = 'output'), 0)::bigint as output_tokens,
        coalesce(sum(tokens) filter (where token_type like '%audio%'), 0)::bigint as audio_tokens
    from {{ ref('int_usage_bills') }}
    where model is not null and tokens is not null and {{ in_build_days('usage_date') }}
    group by all
),

together as (
    select * from logged
    union all by name
    select * from counted
    union all by name
    select * from billed
)

select
    * exclude (told_tier),
    lower(trim(provider)) as provider_key,
    {{ model_family('coalesce(' ~ alias_of('together.provider', 'together.named_model', 'together.usage_date') ~ ', named_model)') }} as model_family,
    {{ service_tier('told_tier') }} as service_tier,
    coalesce(trim(told_tier), '') <> '' as is_tier_told
from together
