{# What requests are told apart by, in the order of the marts: the columns of a row of int_token_days that are not about its price. #}
{% macro request_dimensions() -%}
    {{ return(['source_name', 'provider', 'model', 'model_version', 'variant', 'request_kind', 'team', 'cost_centre', 'tenant', 'feature',
        'region', 'service_tier', 'is_success', 'is_retry', 'is_cold', 'is_cached', 'batch_band']) }}
{%- endmacro %}

{# Counts and sums over requests that every later step only adds up. Times are in whole microseconds, so that any order gives one sum. #}
{% macro request_measures() -%}
    {{ return(['request_count', 'unique_request_count', 'unique_success_count', 'fallback_count', 'timed_count', 'token_count'] + token_columns()
        + ['retrieval_count', 'retrieved_documents', 'retrieved_tokens', 'bytes_out', 'prefill_us', 'decode_us', 'measured_us',
            'latency_us', 'first_token_us', 'queue_us']) }}
{%- endmacro %}

{# True where a status says that the invocation worked; no status at all is no failure. #}
{% macro request_succeeded(status) -%}
    coalesce(lower(trim({{ status }})) in ('ok', 'success', 'succeeded', 'succeed', 'completed', 'complete', 'unset', '')
        or {{ status }} like '2__', true)
{%- endmacro %}

{# Batch sizes by band. #}
{% macro batch_band(size) -%}
    case
        when {{ size }} <= 0 then null when {{ size }} = 1 then '1' when {{ size }} <= 4 then '2-4' when {{ size }} <= 8 then '5-8'
        when {{ size }} <= 16 then '9-16' when {{ size }} <= 32 then '17-32' when {{ size }} > 32 then '33+'
    end
{%- endmacro %}

{# Milliseconds as whole microseconds. #}
{% macro whole_microseconds(milliseconds) -%} (({{ milliseconds }}) * 1000)::bigint {%- endmacro %}

{# A count times how many requests the row stands for, whole; the row itself where it stands for one. #}
{% macro weighted(amount, weight) -%}
    case when {{ weight }} is null then {{ amount }} else round(({{ amount }})::decimal(30, 0) * {{ weight }})::bigint end
{%- endmacro %}

{# CTE `roots`: the first request to which each one's `retry_of` leads back, of the same day and source. #}
{% macro roots_of_retries(requests) -%}
steps (usage_date, source_name, request_id, root_id, depth) as (
    select usage_date, source_name, request_id, retry_of, 1
    from {{ requests }}
    where retry_of is not null and request_id is not null
    union all
    select steps.usage_date, steps.source_name, steps.request_id, before.retry_of, steps.depth + 1
    from steps
    inner join {{ requests }} as before
        on steps.usage_date = before.usage_date and steps.source_name = before.source_name and steps.root_id = before.request_id
    where before.retry_of is not null and steps.depth < 50
),

roots as (
    select usage_date, source_name, request_id, root_id
    from steps
    qualify row_number() over (partition by usage_date, source_name, request_id order by depth desc) = 1
)
{%- endmacro %}
