-- One row per day, dimension (all, provider, model, model_version, variant, tenant, feature) and value: how long invocations took and how many tokens
-- they had, at the percentiles. Versions and variants are named <model>@<version> and <model>@<variant>. Percentiles of rows, whatever each stands for.
{{ config(materialized='incremental', incremental_strategy='days') }}
{% set percentiles = '[0.5, 0.95, 0.99]' -%}
{% set dimensions = ['provider', 'model', 'model_version', 'variant', 'tenant', 'feature'] -%}

with requests as (
    select
        usage_date, provider, model, model || '@' || model_version as model_version, model || '@' || variant as variant, tenant, feature,
        latency_ms, time_to_first_token_ms, input_tokens + output_tokens as token_count, input_tokens, output_tokens
    from {{ ref('int_requests') }}
    where {{ in_build_days('usage_date') }}
),

grouped as (
    select
        usage_date,
        {% for name in dimensions %}{{ name }}, grouping({{ name }}) as without_{{ name }}, {% endfor %}
        count(*) as row_count,
        quantile_cont(latency_ms, {{ percentiles }}) as latency,
        quantile_cont(time_to_first_token_ms, {{ percentiles }}) as first_token,
        quantile_cont(token_count, {{ percentiles }}) as tokens,
        sum(({{ whole_microseconds('latency_ms') }})::bigint) as latency_us,
        sum(case when latency_ms is not null then token_count end)::bigint as timed_tokens,
        sum(token_count)::bigint as token_count,
        count(token_count) as counted
    from requests
    group by grouping sets ((usage_date){% for name in dimensions %}, (usage_date, {{ name }}){% endfor %})
)

select
    usage_date,
    case{% for name in dimensions %} when without_{{ name }} = 0 then '{{ name }}'{% endfor %} else 'all' end as dimension,
    coalesce({{ dimensions | join(', ') }}) as dimension_value,
    row_count,
    latency[1] as latency_ms_p50,
    latency[2] as latency_ms_p95,
    latency[3] as latency_ms_p99,
    first_token[1] as time_to_first_token_ms_p50,
    first_token[2] as time_to_first_token_ms_p95,
    tokens[1] as tokens_per_request_p50,
    tokens[2] as tokens_per_request_p95,
    token_count::double / nullif(counted, 0) as tokens_per_request_mean,
    latency_us::double / 1000 / nullif(timed_tokens, 0) as ms_per_token_mean,
    timed_tokens::double * 1000000 / nullif(latency_us, 0) as tokens_per_second
from grouped
