-- What each slot-hour costs, by who billed it: one row per slot-hour and bill (source, provider, billing period, line owner).
-- A node's cost goes to its GPUs in proportion to the time they existed; a node without GPUs is one unit.
with charges as (
    select * from {{ ref('int_charges__spread') }}
    where resource_id is not null and {{ in_build_days('usage_date') }}
),

units as (
    select
        slots.*,
        case
            when sum(gpu_up_microseconds + gpu_down_microseconds) over (partition by hour_start_at, resource_id) > 0
                then gpu_up_microseconds + gpu_down_microseconds
            else cpu_up_microseconds + cpu_down_microseconds
        end as unit_weight
    from {{ ref('int_slots') }} as slots
    where {{ in_build_days('usage_date') }}
),

{% set bill = ['source_name', 'billed_by', 'billing_period', 'component', 'is_unused_commitment', 'bill_team', 'bill_cost_centre',
    'currency_code'] -%}

shared_out as (
    select
        units.*,
        charges.source_name, charges.billed_by, charges.billing_period, charges.component, charges.is_unused_commitment,
        charges.team as bill_team, charges.cost_centre as bill_cost_centre, charges.currency_code, charges.cost,
        row_number() over (order by charges.hour_start_at, charges.resource_id, charges.source_name, charges.billed_by,
            charges.billing_period, charges.component, charges.is_unused_commitment, charges.team, charges.cost_centre,
            units.cluster, units.node, units.gpu_id) as unit_number
    from units
    inner join charges on units.hour_start_at = charges.hour_start_at and units.resource_id = charges.resource_id
),

split as (
    {{ split_exact('shared_out', by=['hour_start_at', 'resource_id'] + bill, amount='cost', weight='unit_weight',
        tie_break=['unit_number'],
        keep=['usage_date', 'hour_start_at', 'slot_level', 'cluster', 'pool', 'slot_node', 'slot_gpu_id', 'resource_id'] + bill,
        into='cost') }}
)

select
    usage_date,
    hour_start_at,
    slot_level,
    cluster,
    pool,
    slot_node as node,
    slot_gpu_id as gpu_id,
    {{ bill | join(',\n    ') }},
    sum(cost) as cost
from split
group by all
