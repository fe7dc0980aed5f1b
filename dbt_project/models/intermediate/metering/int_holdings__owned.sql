-- One row per holding, node and start: who owns it by rule (labels, namespace, account, user, pool, cluster, name), and which rule of
-- config/supporting_costs.csv says that requests rest on it.
{{ config(day_column='holding_date') }}

with holdings as (
    select
        *,
        labels as tags,
        row_number() over () as object_number
    from {{ ref('stg_telemetry__holdings') }}
    where {{ in_build_days('holding_date') }}
),

owners as (
    {{ decided_by_rules('holdings', 'holding_date', ['tags'] + holding_fields(), 'owner') }}
),

supporting as (
    {{ decided_by_rules('holdings', 'holding_date', ['tags'] + holding_fields(), 'supporting') }}
)

select
    holdings.holding_date,
    holdings.source_name,
    holdings.cluster,
    holdings.holding_id,
    holdings.node,
    holdings.started_at,
    owners.outcome as team,
    teams.cost_centre,
    owners.rule_id as owner_rule_id,
    'owners/' || owners.rule_id || '@' || owners.rule_version as owner_rule,
    coalesce({{ json_field('holdings.labels', 'project') }}, holdings.namespace, holdings.account) as project,
    supporting.rule_id as supporting_rule_id
from holdings
left join owners on holdings.object_number = owners.object_number
left join supporting on holdings.object_number = supporting.object_number
left join {{ source('config', 'teams') }} as teams
    on lower(owners.outcome) = lower(teams.team) and {{ in_force('teams', 'holdings.holding_date') }}
