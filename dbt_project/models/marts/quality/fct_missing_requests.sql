-- Requests that one log has and the other lacks. `evidence` request: one row per request, by the vendor's own log of the day. `evidence`
-- count: one row per day, provider, model and, where the log tells it, key, for providers without such a log: by how many they differ.
with by_request as (
    select one.*
    from {{ ref('int_requests__unmatched') }} as one
    where not exists (
        -- a request at midnight is of one day here and of the next there
        select 1 from {{ ref('int_requests__unmatched') }} as other
        where other.found_in <> one.found_in and abs(other.usage_date - one.usage_date) = 1
            and coalesce(other.response_id, other.request_id) in (one.request_id, one.response_id)
    ) and not exists (
        select 1 from {{ ref('int_requests__unmatched') }} as other
        where other.found_in <> one.found_in and abs(other.usage_date - one.usage_date) = 1
            and other.request_id in (one.request_id, one.response_id)
    )
),

logged_days as (
    select distinct usage_date, lower(trim(provider)) as provider_key from {{ ref('stg_telemetry__vendor_requests') }}
),

keyed as (
    select usage_date, provider_key, model_family, bool_or(side = 'log' and api_key is not null) as is_by_key
    from {{ ref('int_usage_days') }}
    group by all
),

counted as (
    select
        days.usage_date,
        min(days.provider) as provider_name,
        coalesce(min(case when days.side = 'log' then days.named_model end), days.model_family) as model,
        case when keyed.is_by_key then days.api_key end as api_key,
        {{ distinct_in_order('case when days.side = \'vendor\' then days.api_key end') }} as vendor_keys,
        coalesce(sum(case when days.side = 'vendor' then days.request_count end), 0) as vendor_count,
        coalesce(sum(case when days.side = 'log' then days.request_count end), 0) as log_count
    from {{ ref('int_usage_days') }} as days
    inner join keyed
        on days.usage_date = keyed.usage_date and days.provider_key = keyed.provider_key and days.model_family = keyed.model_family
    left join logged_days on days.usage_date = logged_days.usage_date and days.provider_key = logged_days.provider_key
    where days.side in ('log', 'vendor') and logged_days.usage_date is null
        and (days.usage_date, days.provider_key) in (
            select (told.usage_date, told.provider_key) from {{ ref('int_usage_days') }} as told
            where told.side = 'vendor' and told.request_count is not null
        )
    group by days.usage_date, days.provider_key, days.model_family, case when keyed.is_by_key then days.api_key end
)

select
    usage_date,
    'request' as evidence,
    found_in,
    provider as provider_name,
    model,
    null::varchar as api_key,
    null::varchar as vendor_keys,
    source_name,
    request_id,
    response_id,
    requested_at,
    status,
    input_tokens,
    output_tokens,
    1::bigint as missing_count,
    case
        when found_in = 'there' then 'the vendor''s log has it, ours does not'
        when not {{ request_succeeded('status') }} then 'it failed here: the vendor may never have seen it'
        else 'our log has it, the vendor''s does not'
    end as reason
from by_request

union all

select
    usage_date,
    'count',
    case when vendor_count > log_count then 'there' else 'here' end,
    provider_name,
    model,
    api_key,
    vendor_keys,
    null, null, null, null, null, null, null,
    abs(vendor_count - log_count)::bigint,
    'the vendor counted ' || vendor_count::bigint || ', our log has ' || log_count::bigint || '; which ones only a log by request can tell'
from counted
where vendor_count <> log_count
