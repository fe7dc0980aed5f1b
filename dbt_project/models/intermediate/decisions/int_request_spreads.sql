-- How long invocations took and how many tokens they had, counted: one row per day, figure (latency_ms, token_count), provider, model, version,
-- variant and value, kept to three digits. So percentiles of any period, and of several of these together, can be worked out within 0.5 % without
-- looking at each request again.
{%- for figure, value in {'latency_ms': 'latency_ms', 'token_count': 'input_tokens + output_tokens'}.items() %}
select
    usage_date,
    '{{ figure }}' as figure,
    provider,
    model,
    model_version,
    variant,
    {{ three_digits('(' ~ value ~ ')::double') }} as figure_value,
    count(*) as row_count
from {{ ref('int_requests') }}
where {{ value }} is not null and {{ in_build_days('usage_date') }}
group by all
{{ 'union all' if not loop.last }}
{%- endfor %}
