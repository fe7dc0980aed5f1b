-- One row per day, provider, model, team, tenant and feature, and by what else the price depends on (service tier; region, prompt
-- length and time of day only for models priced by them): requests and their tokens by kind. A kind that no request reported is
-- NULL. `team` is spelt as in config/teams.csv. Cached input is part of input, reasoning of output, cache writes of neither.
with requests as (
    select
        requests.usage_date,
        requests.source_name,
        requests.provider,
        requests.model,
        lower(trim(requests.team)) as team_key,
        requests.tenant,
        requests.feature,
        requests.tier,
        case when cuts.is_by_region then lower(trim(requests.region)) end as priced_region,
        {{ largest_not_above('cuts.quantity_cuts', 'coalesce(requests.input_tokens, 0) + coalesce(requests.cache_write_tokens, 0)') }}
            as priced_quantity_from,
        {{ largest_not_above('cuts.day_cuts', microseconds_of_day('requests.requested_at')) }} as microseconds_of_day,
        count(*) as request_count,
        {% for column in token_columns() -%}
        sum(requests.{{ column }})::bigint as {{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('stg_telemetry__requests') }} as requests
    left join {{ ref('int_prices__cuts') }} as cuts
        on requests.model = cuts.usage_model and requests.provider is not distinct from cuts.usage_provider
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
    requests.source_name,
    requests.provider,
    requests.model,
    coalesce(spelt.team, nullif(requests.team_key, '')) as team,
    teams.cost_centre,
    requests.tenant,
    requests.feature,
    {{ service_tier('requests.tier') }} as service_tier,
    nullif(requests.priced_region, '') as priced_region,
    requests.priced_quantity_from,
    {{ moment_of_day('requests.usage_date', 'requests.microseconds_of_day') }} as priced_at,
    sum(requests.request_count)::bigint as request_count,
    {% for column in token_columns() -%}
    sum(requests.{{ column }})::bigint as {{ column }},
    {% endfor -%}
    sum(coalesce(requests.input_tokens, 0) + coalesce(requests.output_tokens, 0))::bigint as token_count
from requests
left join spelt on requests.team_key = spelt.team_key
left join {{ source('config', 'teams') }} as teams
    on requests.team_key = lower(teams.team) and {{ in_force('teams', 'requests.usage_date') }}
group by all
