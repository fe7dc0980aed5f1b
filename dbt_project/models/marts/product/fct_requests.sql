-- One row per invocation with its exact cost: a view in the warehouse for a day at a time (where usage_date = …), not stored and not published.
-- An invocation bears of what its row of int_request_days cost the share that it has of what the cost goes by; the invocations add up exactly.
{{ config(materialized='view') }}
{% set told_apart = ['source_name', 'provider', 'model', 'model_version', 'variant', 'request_kind', 'tenant', 'feature', 'region', 'service_tier',
    'is_success', 'is_retry', 'is_cold', 'is_cached', 'batch_band'] -%}

with spelt as (
    select lower(team) as team_key, min(team) as team
    from {{ source('config', 'teams') }}
    group by 1
),

requests as (
    select
        keyed.* exclude (team),
        coalesce(spelt.team, nullif(keyed.team_key, '')) as team,
        {{ moment_of_day('keyed.usage_date', 'keyed.priced_microseconds') }} as priced_at
    from {{ ref('int_requests__keyed') }} as keyed
    left join spelt on keyed.team_key = spelt.team_key
),

numbered as (
    select
        requests.*,
        tokens.token_row,
        row_number() over (
            partition by requests.usage_date, tokens.token_row
            order by requests.requested_at, requests.request_id, requests.latency_ms, requests.file_name, requests.file_row
        ) as request_number
    from requests
    inner join {{ ref('int_token_days__priced') }} as tokens
        on requests.usage_date = tokens.usage_date and requests.team is not distinct from tokens.team
        {%- for name in told_apart %}
        and requests.{{ name }} is not distinct from tokens.{{ name }}
        {%- endfor %}
),

weighed as (
    select
        counted.usage_date, counted.token_row, counted.request_number, counted.sample_weight,
        {% for kind in token_kinds() %}counted.{{ kind }}_units * coalesce(prices.{{ kind }}_price, 0) + {% endfor -%}
        {% for kind in call_kinds() %}counted.{{ kind }}_units * coalesce(prices.{{ kind }}_price, 0){{ ' + ' if not loop.last }}{% endfor %}
            as list_price,
        case when counted.is_cached then 0 else coalesce(counted.input_tokens, 0) + coalesce(counted.output_tokens, 0) end as tokens,
        case when counted.is_cached then 0
            else coalesce(counted.input_tokens, 0) - coalesce(counted.cached_input_tokens, 0) + coalesce(counted.cache_write_tokens, 0) end as prefill,
        case when counted.is_cached then 0 else coalesce(counted.output_tokens, 0) end as decode,
        counted.input_tokens, counted.output_tokens, counted.retrieval_count as retrievals, counted.bytes_out,
        1 as requests,
        counted.is_unique_success::integer as successes
    from (
        select *, 1 as request_count, {{ units_of_kinds() | replace('request_count', '1') }} from numbered
    ) as counted
    left join {{ ref('int_token_prices') }} as prices on {{ same_prices('counted', 'prices') }}
),

amounts as (
    select
        usage_date, token_row, weight_kind,
        case when component = 'vendor' then 'vendor' when component like 'serving%' then 'serving' else 'supporting' end as cost_kind,
        sum(cost) as cost
    from {{ ref('int_request_costs') }}
    group by all

    union all

    select usage_date, token_row, 'successes' as weight_kind, 'training' as cost_kind, sum(allocated_cost) as cost
    from {{ ref('int_training__shared') }}
    group by all
),

shares as (
    select
        amounts.usage_date, amounts.token_row, amounts.weight_kind, amounts.cost_kind, amounts.cost, weighed.request_number,
        {{ weighted("coalesce(case amounts.weight_kind when 'list_price' then weighed.list_price // 1000000 when 'tokens' then weighed.tokens"
            ~ " when 'prefill' then weighed.prefill when 'decode' then weighed.decode when 'input_tokens' then weighed.input_tokens"
            ~ " when 'output_tokens' then weighed.output_tokens when 'retrievals' then weighed.retrievals when 'bytes_out' then weighed.bytes_out"
            ~ " when 'requests' then weighed.requests when 'successes' then weighed.successes end, 0)", 'weighed.sample_weight') }} as weight
    from amounts
    inner join weighed on amounts.usage_date = weighed.usage_date and amounts.token_row = weighed.token_row
),

split as (
    {{ split_exact('shares', by=['usage_date', 'token_row', 'cost_kind', 'weight_kind'], amount='cost', weight='weight',
        tie_break=['request_number'], keep=['usage_date', 'token_row', 'request_number', 'cost_kind']) }}
),

costs as (
    select
        usage_date, token_row, request_number,
        {% for kind in ['vendor', 'serving', 'supporting', 'training'] -%}
        sum(allocated_cost) filter (where cost_kind = '{{ kind }}') as {{ kind }}_cost,
        {% endfor -%}
        sum(allocated_cost) as full_cost
    from split
    group by all
)

select
    numbered.usage_date,
    numbered.requested_at,
    numbered.request_id,
    numbered.request_key,
    numbered.try_number,
    {% for name in told_apart %}numbered.{{ name }},
    {% endfor -%}
    numbered.team,
    numbered.user_id,
    numbered.job_id,
    numbered.trace_id,
    numbered.is_unique_success,
    {% for column in token_columns() %}numbered.{{ column }},
    {% endfor -%}
    numbered.latency_ms,
    numbered.time_to_first_token_ms,
    numbered.sample_weight,
    costs.vendor_cost,
    costs.serving_cost,
    costs.supporting_cost,
    costs.training_cost,
    costs.full_cost,
    workspace.currency_code,
    numbered.file_name,
    numbered.file_row
from numbered
cross join {{ source('config', 'workspace') }} as workspace
left join costs
    on numbered.usage_date = costs.usage_date and numbered.token_row = costs.token_row and numbered.request_number = costs.request_number
