-- Lines that accrue for longer than the slot they are counted in (an hour for a node's, a day for all others): one row per line and
-- slot of it, its cost in proportion to time and exact, its owner that of the day: where the owner changes in the middle of a line,
-- each pays for its own days.
{{ config(materialized='table') }}

with node_resources as (
    select distinct resource_id from {{ ref('stg_telemetry__capacity') }}
),

longer as (
    select
        charges.* exclude (team, cost_centre),
        node_resources.resource_id is not null as is_node,
        charges.reporting_effective_cost::decimal(38, 12) as cost,
        row_number() over (order by charges.source_name, charges.file_name, charges.file_row) as line_number
    from {{ ref('int_charges__owned') }} as charges
    left join node_resources on charges.resource_id = node_resources.resource_id
    where {{ may_overlap_build_days('charges.accrues_from_at', 'charges.accrues_until_at') }}
        and charges.accrues_until_at > case
            when node_resources.resource_id is not null then date_trunc('hour', charges.accrues_from_at) + interval 1 hour
            else charges.charge_date + interval 1 day
        end
),

slots as (
    select *, {{ slots('accrues_from_at', 'accrues_until_at', 'hour') }} as slot_start_at, 'hour' as unit
    from longer where is_node
    union all
    select *, {{ slots('accrues_from_at', 'accrues_until_at', 'day') }} as slot_start_at, 'day' as unit
    from longer where not is_node
),

weighed as (
    select
        *,
        greatest(accrues_from_at, slot_start_at) as from_at,
        least(accrues_until_at, slot_start_at + case when unit = 'hour' then interval 1 hour else interval 1 day end) as until_at,
        case
            when unit = 'hour' then {{ overlap_microseconds('accrues_from_at', 'accrues_until_at', 'slot_start_at', 'hour') }}
            else {{ overlap_microseconds('accrues_from_at', 'accrues_until_at', 'slot_start_at', 'day') }}
        end as microseconds
    from slots
),

split as (
    {{ split_exact('weighed', by=['line_number'], amount='cost', weight='microseconds', tie_break=['slot_start_at'],
        keep=timed_fields() + ['is_node', 'slot_start_at', 'from_at', 'until_at', 'line_number'], into='cost') }}
),

-- a record that bills and credits at once is several lines of one number: each finds one of its own kind
line_days as (
    select days.line_number, days.usage_date, lines.*, row_number() over () as object_number
    from (select distinct line_number, slot_start_at::date as usage_date, {{ timed_fields() | join(', ') }} from split) as days
    inner join {{ ref('int_charge_lines') }} as lines
        on days.charge_date = lines.charge_date and days.source_name = lines.source_name and days.file_name = lines.file_name
        and days.file_row = lines.file_row and days.charge_category is not distinct from lines.charge_category
        and days.resource_id is not distinct from lines.resource_id
    where {{ in_build_days('days.usage_date') }}
    qualify row_number() over (partition by days.line_number, days.usage_date order by lines.tags, lines.charge_description) = 1
),

owners as (
    {{ decided_by_rules('line_days', 'usage_date', ['tags'] + line_fields(), 'owner') }}
),

owned_days as (
    select line_days.line_number, line_days.usage_date, owners.outcome as team, teams.cost_centre,
        'owners/' || owners.rule_id || '@' || owners.rule_version as owner_rule
    from line_days
    inner join owners on line_days.object_number = owners.object_number
    left join {{ source('config', 'teams') }} as teams
        on lower(owners.outcome) = lower(teams.team) and {{ in_force('teams', 'line_days.usage_date') }}
)

select split.* exclude (line_number, owner_rule), owned_days.owner_rule, owned_days.team, owned_days.cost_centre
from split
left join owned_days on split.line_number = owned_days.line_number and split.slot_start_at::date = owned_days.usage_date
where {{ in_build_days('split.slot_start_at::date') }}
