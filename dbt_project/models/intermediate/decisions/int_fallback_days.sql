-- Requests that another model answered after a first try at one: one row per day, what was asked in the end and what had been tried, with how
-- many and their tokens. The try is of the same day and source.
{% set told_apart = ['provider', 'model', 'model_version', 'tenant', 'feature'] -%}

with falling as (
    select * from {{ ref('int_requests') }} where fallback_of is not null and {{ in_build_days('usage_date') }}
)

select
    falling.usage_date,
    {% for name in told_apart %}falling.{{ name }}, tried.{{ name }} as tried_{{ name }}, {% endfor %}
    lower(trim(falling.kind)) as request_kind,
    lower(trim(tried.kind)) as tried_request_kind,
    tried.request_id is not null as is_try_known,
    round(sum(coalesce(falling.sample_weight, 1)))::bigint as fallback_count,
    {%- for side, name in {'falling': 'token_count', 'tried': 'tried_token_count'}.items() %}
    round(sum(
        (coalesce({{ side }}.input_tokens, 0) + coalesce({{ side }}.output_tokens, 0))::decimal(30, 0) * coalesce(falling.sample_weight, 1)
    ))::bigint as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from falling
left join {{ ref('int_requests') }} as tried
    on falling.usage_date = tried.usage_date and falling.source_name = tried.source_name and falling.fallback_of = tried.request_id
    and {{ in_build_days('tried.usage_date') }}
group by all
