-- One row per day and all that requests are told apart by (request_dimensions), and by what else the price depends on (region, prompt
-- length and time of day only for models priced by them): requests and their tokens by kind, weighted where the log is sampled. A kind
-- that no request reported is NULL. `team` is spelt as in config/teams.csv. Cached input is part of input, reasoning of output, cache
-- writes of neither. `*_us`: whole microseconds; `measured_us` is that part of prefill_us and decode_us that the server measured itself.
{% set summed = token_columns() + ['retrieval_count', 'retrieved_documents', 'retrieved_tokens', 'bytes_out'] -%}
{% set dimensions = ['source_name', 'provider', 'model', 'model_version', 'variant', 'request_kind', 'team_key', 'tenant', 'feature', 'region',
    'service_tier', 'is_success', 'is_retry', 'is_cold', 'is_cached', 'batch_band'] -%}
{% set first_token = 'time_to_first_token_ms - coalesce(queue_ms, 0)' -%}

with requests as (
    select
        requests.usage_date,
        {% for name in dimensions %}requests.{{ name }},
        {% endfor -%}
        requests.priced_region,
        requests.priced_quantity_from,
        requests.priced_microseconds,
        requests.sample_weight,
        count(*) as row_count,
        count(*) filter (where not requests.is_retry) as unique_count,
        count(*) filter (where requests.is_unique_success) as unique_successes,
        count(*) filter (where requests.fallback_of is not null) as fallback_count,
        count(requests.latency_ms) as timed_count,
        {% for column in summed -%}
        sum(requests.{{ column }})::bigint as {{ column }},
        {% endfor -%}
        sum({{ whole_microseconds('coalesce(prefill_ms, ' ~ first_token ~ ')') }})::bigint as prefill_us,
        sum({{ whole_microseconds('coalesce(decode_ms, latency_ms - time_to_first_token_ms)') }})::bigint as decode_us,
        sum({{ whole_microseconds('prefill_ms + decode_ms') }})::bigint as measured_us,
        sum({{ whole_microseconds('latency_ms') }})::bigint as latency_us,
        sum({{ whole_microseconds('time_to_first_token_ms') }})::bigint as first_token_us,
        sum({{ whole_microseconds('queue_ms') }})::bigint as queue_us
    from {{ ref('int_requests__keyed') }} as requests
    where {{ in_build_days('requests.usage_date') }}
    group by all
),

spelt as (
    select lower(team) as team_key, min(team) as team
    from {{ source('config', 'teams') }}
    group by 1
)

select
    requests.usage_date,
    {% for name in dimensions if name != 'team_key' %}requests.{{ name }},
    {% endfor -%}
    coalesce(spelt.team, nullif(requests.team_key, '')) as team,
    teams.cost_centre,
    requests.priced_region,
    requests.priced_quantity_from,
    {{ moment_of_day('requests.usage_date', 'requests.priced_microseconds') }} as priced_at,
    bool_or(requests.sample_weight is not null) as is_sampled,
    sum({{ weighted('requests.row_count', 'requests.sample_weight') }})::bigint as request_count,
    sum({{ weighted('requests.unique_count', 'requests.sample_weight') }})::bigint as unique_request_count,
    sum({{ weighted('requests.unique_successes', 'requests.sample_weight') }})::bigint as unique_success_count,
    {% for column in ['fallback_count', 'timed_count'] + summed
        + ['prefill_us', 'decode_us', 'measured_us', 'latency_us', 'first_token_us', 'queue_us'] -%}
    sum({{ weighted('requests.' ~ column, 'requests.sample_weight') }})::bigint as {{ column }},
    {% endfor -%}
    sum({{ weighted('coalesce(requests.input_tokens, 0) + coalesce(requests.output_tokens, 0)', 'requests.sample_weight') }})::bigint as token_count
from requests
left join spelt on requests.team_key = spelt.team_key
left join {{ source('config', 'teams') }} as teams
    on requests.team_key = lower(teams.team) and {{ in_force('teams', 'requests.usage_date') }}
group by all
