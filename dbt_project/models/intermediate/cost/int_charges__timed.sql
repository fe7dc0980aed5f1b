-- Every billing line in the slots it accrues in: by hour where it is a node's own (`is_node`), by day else. Most lines lie in one slot,
-- the others come split. Effective cost in 12 digits: the digits past them stay with the line and are counted as `rounding`.
{{ config(materialized='view') }}

with node_resources as (
    select distinct resource_id from {{ ref('stg_telemetry__capacity') }}
)

select
    {% for field in timed_fields() %}charges.{{ field }}, {% endfor %}
    node_resources.resource_id is not null as is_node,
    case when node_resources.resource_id is not null then date_trunc('hour', charges.accrues_from_at) else charges.charge_date::timestamp end
        as slot_start_at,
    charges.accrues_from_at as from_at,
    charges.accrues_until_at as until_at,
    charges.team,
    charges.cost_centre,
    charges.reporting_effective_cost::decimal(38, 12) as cost
from {{ ref('int_charges__owned') }} as charges
left join node_resources on charges.resource_id = node_resources.resource_id
where charges.accrues_until_at <= case
        when node_resources.resource_id is not null then date_trunc('hour', charges.accrues_from_at) + interval 1 hour
        else charges.charge_date + interval 1 day
    end
    and {{ in_build_days('charges.charge_date') }}

union all

select
    {% for field in timed_fields() %}{{ field }}, {% endfor %}
    is_node, slot_start_at, from_at, until_at, team, cost_centre, cost
from {{ ref('int_charges__split') }}
