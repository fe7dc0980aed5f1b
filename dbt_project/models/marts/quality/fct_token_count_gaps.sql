-- Our count of tokens against the vendor's: one row per provider, model and tokenizer version (NULL: the requests do not name it), over
-- the days on which no other version counted. The spread of the daily ratios is the error of what is counted here alone: the 95 %
-- interval of their mean is Student's.
{%- set t95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042] %}

with versions as (
    select
        usage_date,
        provider_key,
        model_family,
        count(distinct coalesce(tokenizer_version, '')) as version_count,
        min(tokenizer_version) as tokenizer_version
    from {{ ref('int_usage_days') }}
    where side = 'log'
    group by all
),

days as (
    select
        sides.usage_date,
        sides.provider_key,
        sides.model_family,
        versions.tokenizer_version,
        versions.version_count > 1 as is_mixed,
        sides.provider_name,
        sides.log_names,
        sum(sides.log_request_count) as request_count,
        sum(sides.log_input_tokens + coalesce(sides.log_output_tokens, 0)) as log_tokens,
        sum(sides.vendor_input_tokens + coalesce(sides.vendor_output_tokens, 0)) as vendor_tokens,
        sum(sides.billed_cost) as billed_cost
    from {{ ref('int_usage_sides') }} as sides
    inner join versions
        on sides.usage_date = versions.usage_date and sides.provider_key = versions.provider_key
        and sides.model_family = versions.model_family
    group by all
),

gaps as (
    select
        provider_key,
        model_family,
        min(provider_name) as provider_name,
        case when count(distinct log_names) = 1 then min(log_names) else model_family end as model,
        tokenizer_version,
        count(*) filter (where not is_mixed and log_tokens > 0 and vendor_tokens is not null)::bigint as day_count,
        count(*) filter (where is_mixed)::bigint as mixed_day_count,
        min(usage_date) as first_date,
        max(usage_date) as last_date,
        {%- for column in ['request_count', 'log_tokens', 'vendor_tokens'] %}
        sum({{ column }}) filter (where not is_mixed and log_tokens > 0 and vendor_tokens is not null)::bigint as {{ column }},
        {%- endfor %}
        sum(log_tokens) filter (where not is_mixed and billed_cost is not null)::double as billed_log_tokens,
        sum(billed_cost) filter (where not is_mixed and log_tokens > 0)::decimal(38, 20) as billed_cost,
        {{ sum_hours('case when not is_mixed and log_tokens > 0 then vendor_tokens::double / log_tokens end') }} as ratio_sum,
        {{ sum_hours('case when not is_mixed and log_tokens > 0 then power(vendor_tokens::double / log_tokens, 2) end') }} as square_sum
    from days
    group by provider_key, model_family, tokenizer_version
),

spread as (
    select
        *,
        vendor_tokens::double / nullif(log_tokens, 0) as ratio,
        ratio_sum / nullif(day_count, 0) as mean_daily_ratio,
        case
            when day_count >= 2
                then sqrt(greatest(square_sum - ratio_sum * ratio_sum / day_count, 0) / (day_count - 1))
        end as stddev_daily_ratio,
        case when day_count >= 2 then coalesce({{ t95 }}[day_count - 1], 1.96) end as student_t
    from gaps
),

bounded as (
    select *, student_t * stddev_daily_ratio / sqrt(day_count) as ratio_error from spread
)

select
    bounded.provider_name,
    bounded.model,
    bounded.tokenizer_version,
    bounded.first_date,
    bounded.last_date,
    bounded.day_count,
    bounded.mixed_day_count,
    bounded.request_count,
    bounded.log_tokens,
    bounded.vendor_tokens,
    bounded.vendor_tokens - bounded.log_tokens as token_delta,
    bounded.ratio,
    bounded.mean_daily_ratio,
    bounded.stddev_daily_ratio,
    bounded.ratio_error,
    bounded.mean_daily_ratio - bounded.ratio_error as ratio_low,
    bounded.mean_daily_ratio + bounded.ratio_error as ratio_high,
    bounded.billed_cost,
    workspace.currency_code,
    bounded.billed_cost::double * 1000000 / nullif(bounded.billed_log_tokens * bounded.mean_daily_ratio, 0) as cost_per_million_tokens,
    case when bounded.mean_daily_ratio + bounded.ratio_error > 0
        then bounded.billed_cost::double * 1000000 / nullif(bounded.billed_log_tokens * (bounded.mean_daily_ratio + bounded.ratio_error), 0)
    end as cost_per_million_tokens_low,
    case when bounded.mean_daily_ratio - bounded.ratio_error > 0
        then bounded.billed_cost::double * 1000000 / nullif(bounded.billed_log_tokens * (bounded.mean_daily_ratio - bounded.ratio_error), 0)
    end as cost_per_million_tokens_high,
    case
        when bounded.day_count = 0 then 'no day on which the vendor counted what this tokenizer alone counted'
        when bounded.day_count = 1 then 'one day has no spread'
        when bounded.mean_daily_ratio - bounded.ratio_error <= 0 then 'the spread is wider than the mean: no upper bound'
    end as error_reason
from bounded
cross join {{ source('config', 'workspace') }} as workspace
