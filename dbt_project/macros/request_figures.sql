{# Sums of int_request_days that every mart of requests gives, whatever it groups by; `from` is the alias of int_request_days. #}
{% macro request_figures(from) -%}
    {%- set r = from -%}
    sum({{ r }}.request_count)::bigint as request_count,
    sum({{ r }}.unique_request_count)::bigint as unique_request_count,
    coalesce(sum({{ r }}.request_count) filter (where {{ r }}.is_success), 0)::bigint as success_count,
    sum({{ r }}.unique_success_count)::bigint as unique_success_count,
    coalesce(sum({{ r }}.request_count) filter (where not {{ r }}.is_success), 0)::bigint as error_count,
    coalesce(sum({{ r }}.request_count) filter (where {{ r }}.is_retry), 0)::bigint as retry_count,
    coalesce(sum({{ r }}.request_count) filter (where {{ r }}.is_cold), 0)::bigint as cold_count,
    coalesce(sum({{ r }}.request_count) filter (where {{ r }}.is_cached), 0)::bigint as cached_count,
    sum({{ r }}.fallback_count)::bigint as fallback_count,
    bool_or({{ r }}.is_sampled) as is_sampled,
    {% for kind in ['input_tokens', 'cached_input_tokens', 'cache_write_tokens', 'output_tokens', 'reasoning_tokens', 'token_count',
        'retrieval_count', 'retrieved_documents', 'retrieved_tokens', 'image_count', 'bytes_out', 'timed_count'] -%}
    sum({{ r }}.{{ kind }})::bigint as {{ kind }},
    {% endfor -%}
    sum({{ r }}.latency_us)::double / 1000 as latency_ms,
    sum({{ r }}.first_token_us)::double / 1000 as time_to_first_token_ms,
    sum({{ r }}.queue_us)::double / 1000 as queue_ms,
    {% for cost in ['vendor_cost', 'serving_cost', 'supporting_cost', 'training_cost', 'full_cost'] -%}
    sum({{ r }}.{{ cost }}) as {{ cost }},
    {% endfor -%}
    case when bool_and({{ r }}.used_full_cost is not null) then sum({{ r }}.used_full_cost) end as used_full_cost,
    sum({{ r }}.full_cost) filter (where {{ r }}.is_retry) as retry_cost,
    sum({{ r }}.full_cost) filter (where {{ r }}.is_cold) as cold_cost,
    sum({{ r }}.full_cost) filter (where not {{ r }}.is_success) as error_cost,
    case when bool_and({{ r }}.list_cost is not null) then sum({{ r }}.list_cost) end as list_cost,
    case when bool_and({{ r }}.cache_saving_cost is not null) then sum({{ r }}.cache_saving_cost) end as cache_saving_cost,
    sum({{ r }}.gpu_hours) as gpu_hours,
    sum({{ r }}.token_count) filter (where {{ r }}.basis in ('unpriced', 'partial'))::bigint as unpriced_token_count,
    case
        when bool_and({{ r }}.basis = 'unpriced') then 'unpriced'
        when bool_or({{ r }}.basis in ('unpriced', 'partial')) then 'partial'
        when bool_or({{ r }}.basis = 'estimated') then 'estimated'
        else 'billed'
    end as basis,
    case
        when bool_or({{ r }}.basis in ('unpriced', 'partial')) then 'no bill, and the price book lacks a price of the day'
    end as cost_reason,
    case
        when sum({{ r }}.token_count) > 0 then sum({{ r }}.full_cost)::double * 1000000 / sum({{ r }}.token_count)
    end as cost_per_million_tokens
{%- endmacro %}

{# The mart of one property of requests: its figures by day, with the percentiles of latency. #}
{% macro request_costs_by(dimension) -%}
with costs as (
    select
        requests.usage_date,
        requests.{{ dimension }},
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
    on costs.usage_date = stats.usage_date and stats.dimension = '{{ dimension }}' and costs.{{ dimension }} is not distinct from stats.dimension_value
{%- endmacro %}
