-- One row per day, provider, model, team, tenant and feature: requests and their tokens by kind. A kind that no request
-- reported is NULL. `team` is spelt as in config/teams.csv.
with requests as (
    select
        usage_date,
        source_name,
        provider,
        model,
        lower(trim(team)) as team_key,
        tenant,
        feature,
        count(*) as request_count,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(reasoning_tokens)::bigint as reasoning_tokens
    from {{ ref('stg_telemetry__requests') }}
    where {{ in_build_days('usage_date') }}
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
    requests.request_count,
    requests.input_tokens,
    requests.cached_input_tokens,
    requests.output_tokens,
    requests.reasoning_tokens,
    coalesce(requests.input_tokens, 0) + coalesce(requests.output_tokens, 0) as token_count
from requests
left join spelt on requests.team_key = spelt.team_key
left join {{ source('config', 'teams') }} as teams
    on requests.team_key = lower(teams.team) and {{ in_force('teams', 'requests.usage_date') }}
