-- Effective cost, spread over the time it accrues: by hour for lines of a node (hour_start_at set), by day for all others,
-- in proportion to time and exact. One row per day (or node-hour) and what the later steps must tell apart.
-- The digits past the 12th stay with the line and are counted as `rounding`. A line of several days is owned day by day: where the
-- owner changes in its middle, each pays for its own days.
with node_resources as (
    select distinct resource_id from {{ ref('stg_telemetry__capacity') }}
),

lines as (
    select
        charges.*,
        node_resources.resource_id is not null as is_node,
        charges.reporting_effective_cost::decimal(38, 12) as cost
    from {{ ref('int_charges__owned') }} as charges
    left join node_resources on charges.resource_id = node_resources.resource_id
    where {{ may_overlap_build_days('charges.accrues_from_at', 'charges.accrues_until_at') }}
),

-- most lines lie in one hour or day: nothing to split
within_one as (
    select *, case when is_node then date_trunc('hour', accrues_from_at) else charge_date::timestamp end as slot_start_at
    from lines
    where accrues_until_at <= case
        when is_node then date_trunc('hour', accrues_from_at) + interval 1 hour
        else charge_date + interval 1 day
    end
),

longer as (
    select *, row_number() over (order by source_name, file_name, file_row) as line_number
    from lines
    where accrues_until_at > case
        when is_node then date_trunc('hour', accrues_from_at) + interval 1 hour
        else charge_date + interval 1 day
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
        case
            when unit = 'hour' then {{ overlap_microseconds('accrues_from_at', 'accrues_until_at', 'slot_start_at', 'hour') }}
            else {{ overlap_microseconds('accrues_from_at', 'accrues_until_at', 'slot_start_at', 'day') }}
        end as microseconds
    from slots
),

{% set kept = ['slot_start_at', 'is_node', 'source_name', 'billed_by', 'billing_period', 'charge_category', 'service_category',
    'commitment_discount_status', 'capacity_reservation_status', 'resource_id', 'model', 'currency_code', 'component'] -%}

split as (
    {{ split_exact('weighed', by=['line_number'], amount='cost', weight='microseconds', tie_break=['slot_start_at'],
        keep=kept + ['line_number'], into='cost') }}
),

line_days as (
    select days.line_number, days.usage_date, lines.*, row_number() over () as object_number
    from (select distinct line_number, slot_start_at::date as usage_date, source_name, file_name, file_row, charge_date from slots) as days
    inner join {{ ref('int_charge_lines') }} as lines
        on days.charge_date = lines.charge_date and days.source_name = lines.source_name and days.file_name = lines.file_name
        and days.file_row = lines.file_row
    where {{ in_build_days('days.usage_date') }}
),

owners as (
    {{ decided_by_rules('line_days', 'usage_date', ['tags'] + line_fields(), 'owner') }}
),

owned_days as (
    select line_days.line_number, line_days.usage_date, owners.outcome as team, teams.cost_centre
    from line_days
    inner join owners on line_days.object_number = owners.object_number
    left join {{ source('config', 'teams') }} as teams
        on lower(owners.outcome) = lower(teams.team) and {{ in_force('teams', 'line_days.usage_date') }}
),

together as (
    select {{ kept | join(', ') }}, team, cost_centre, cost from within_one
    union all
    select {{ kept | join(', ') }}, owned_days.team, owned_days.cost_centre, split.cost
    from split
    left join owned_days on split.line_number = owned_days.line_number and split.slot_start_at::date = owned_days.usage_date
)

select
    slot_start_at::date as usage_date,
    case when is_node then slot_start_at end as hour_start_at,
    case when is_node then slot_start_at end as part_start_at,
    case when is_node then slot_start_at + interval 1 hour end as part_end_at,
    source_name,
    billed_by,
    billing_period,
    coalesce(
        component, case when charge_category in ('Usage', 'Purchase') then coalesce(service_category, 'Other') else charge_category end
    ) as component,
    coalesce(commitment_discount_status = 'Unused', false) or coalesce(capacity_reservation_status = 'Unused', false)
        as is_unused_commitment,
    case when is_node then resource_id end as resource_id,
    case when charge_category = 'Usage' then model end as model,
    team,
    cost_centre,
    currency_code,
    sum(cost) as cost,
    count(*) as line_count
from together
where {{ in_build_days('slot_start_at::date') }}
group by all

union all

-- a node that no bill speaks of in an hour costs what the price book says, until the bill is in; its source is the capacity list
select
    priced.usage_date,
    priced.hour_start_at,
    priced.hour_start_at as part_start_at,
    priced.hour_start_at + interval 1 hour as part_end_at,
    priced.source_name,
    priced.billed_by,
    date_trunc('month', priced.usage_date)::date as billing_period,
    'Compute' as component,
    false as is_unused_commitment,
    priced.resource_id,
    null as model,
    null as team,
    null as cost_centre,
    priced.currency_code,
    priced.list_cost as cost,
    0 as line_count
from {{ ref('int_node_hours__priced') }} as priced
anti join together as billed
    on priced.hour_start_at = billed.slot_start_at and priced.resource_id = billed.resource_id
    and billed.is_node and billed.charge_category not in ('Tax', 'Credit', 'Adjustment')
where priced.list_cost is not null and {{ in_build_days('priced.usage_date') }}
