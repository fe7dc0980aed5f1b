-- Effective cost, spread over the time it accrues: by hour, or the part of an hour it is for, where it goes to a node (its own lines and
-- those attached to it; hour_start_at set), by day for all others. One row per day (or node and part) and what the later steps must
-- tell apart. A part is the whole hour unless the node's price or SKU changes inside it (int_hour_parts).
with attached as (
    select distinct usage_date, charge_date, source_name, file_name, file_row, resource_id from {{ ref('int_charges__attached') }}
),

{% set kept = timed_fields() | reject('in', ['charge_date', 'file_name', 'file_row']) | list + ['slot_start_at', 'team', 'cost_centre', 'cost'] -%}

together as (
    select
        {{ kept | join(', ') }}, false as is_of_node, null::timestamp as part_start_at, null::timestamp as part_end_at
    from {{ ref('int_charges__timed') }} as timed
    anti join attached
        on timed.slot_start_at::date = attached.usage_date and timed.charge_date = attached.charge_date
        and timed.source_name = attached.source_name and timed.file_name = attached.file_name
        and timed.file_row = attached.file_row and timed.resource_id is not distinct from attached.resource_id
    where not timed.is_node

    union all

    select {{ kept | join(', ') }}, resource_id is not null, part_start_at, part_end_at
    from {{ ref('int_charges__of_nodes') }}
)

select
    slot_start_at::date as usage_date,
    case when is_of_node then slot_start_at end as hour_start_at,
    part_start_at,
    part_end_at,
    source_name,
    billed_by,
    billing_period,
    coalesce(
        component, case when charge_category in ('Usage', 'Purchase') then coalesce(service_category, 'Other') else charge_category end
    ) as component,
    coalesce(commitment_discount_status = 'Unused', false) or coalesce(capacity_reservation_status = 'Unused', false)
        as is_unused_commitment,
    case when is_of_node then resource_id end as resource_id,
    case when charge_category = 'Usage' then model end as model,
    -- whose hours int_provisioned_hours tells apart
    coalesce(charge_category = 'Usage' and model is not null and service_tier = 'provisioned' and not is_of_node, false) as is_provisioned,
    supporting_rule_id,
    service_name,
    project,
    owner_rule,
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
    priced.part_start_at,
    priced.part_end_at,
    priced.source_name,
    priced.billed_by,
    date_trunc('month', priced.usage_date)::date as billing_period,
    'Compute' as component,
    false as is_unused_commitment,
    priced.resource_id,
    null as model,
    false as is_provisioned,
    null as supporting_rule_id,
    null as service_name,
    null as project,
    null as owner_rule,
    null as team,
    null as cost_centre,
    priced.currency_code,
    priced.list_cost as cost,
    0 as line_count
from {{ ref('int_node_parts__priced') }} as priced
anti join {{ ref('int_charges__of_nodes') }} as billed
    on priced.hour_start_at = billed.slot_start_at and priced.resource_id = billed.resource_id
    and not billed.is_attached and billed.charge_category not in ('Tax', 'Credit', 'Adjustment')
where priced.list_cost is not null and {{ in_build_days('priced.usage_date') }}
