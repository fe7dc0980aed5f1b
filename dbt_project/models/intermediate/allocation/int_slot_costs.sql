-- What each slot-hour costs, by who billed it: one row per part of a slot-hour, resource of the bill and bill (source, provider, billing period,
-- component, line owner). A node's cost goes to its resources as the policy node_cost_split says: to its GPUs by the time they existed (`gpu`;
-- to the CPUs of a node without GPUs), by weight per unit of each resource, or first at declared rates and the rest by weight.
{% set bill = ['source_name', 'billed_by', 'billing_period', 'component', 'is_unused_commitment', 'bill_team', 'bill_cost_centre',
    'currency_code'] -%}
with charges as (
    select *, {{ to_units('sum(cost) over (partition by hour_start_at, part_start_at, resource_id)') }} as node_units
    from (
        select
            usage_date, hour_start_at, part_start_at, resource_id, source_name, billed_by, billing_period, component, is_unused_commitment,
            team as bill_team, cost_centre as bill_cost_centre, currency_code, sum(cost) as cost
        from {{ ref('int_charges__spread') }}
        where resource_id is not null and {{ in_build_days('usage_date') }}
        group by all
    )
),

slots as (
    select
        *,
        slot_level = 'pool' or min(resource_id) over slot_hour <> max(resource_id) over slot_hour as is_one_part
    from {{ ref('int_slots') }}
    where {{ in_build_days('usage_date') }}
    window slot_hour as (partition by hour_start_at, slot_key)
),

hour_parts as (
    select * from {{ ref('int_hour_parts') }} where {{ in_build_days('usage_date') }}
),

-- what existed of each unit, by part of the hour where it is cut
amounts as (
    select
        slots.usage_date, slots.hour_start_at, slots.hour_start_at as part_start_at, slots.resource_id, slots.slot_key, slots.is_one_part,
        slots.basis, slots.gpu_model, slots.node_cost_split,
        case slots.basis
            when 'gpu' then slots.gpu_up_microseconds + slots.gpu_down_microseconds
            when 'cpu' then slots.cpu_up_microseconds + slots.cpu_down_microseconds
            when 'memory' then slots.memory_gb_microseconds
            when 'disk' then slots.disk_gb_microseconds
            else slots.microseconds
        end as amount
    from slots
    anti join hour_parts on slots.hour_start_at = hour_parts.hour_start_at and slots.resource_id = hour_parts.resource_id

    union all

    select
        slots.usage_date, slots.hour_start_at, hour_parts.part_start_at, slots.resource_id, slots.slot_key, slots.is_one_part,
        slots.basis, slots.gpu_model, slots.node_cost_split,
        sum(case slots.basis when 'gpu' then spans.gpu_count when 'cpu' then spans.cpu_count when 'memory' then spans.memory_gb
            when 'disk' then spans.disk_gb else 1 end * greatest({{ microseconds_between(
                'greatest(spans.span_start_at, hour_parts.part_start_at)', 'least(spans.span_end_at, hour_parts.part_end_at)') }}, 0)) as amount
    from slots
    inner join hour_parts on slots.hour_start_at = hour_parts.hour_start_at and slots.resource_id = hour_parts.resource_id
    inner join {{ ref('int_capacity_spans') }} as spans
        on slots.hour_start_at = spans.hour_start_at and slots.cluster = spans.cluster and slots.node = spans.node
        and slots.gpu_id is not distinct from spans.gpu_id and slots.gpu_model is not distinct from spans.gpu_model
        and slots.resource_id = spans.resource_id
    where {{ in_build_days('spans.usage_date') }}
    group by all
),

rated as (
    select
        amounts.usage_date, amounts.hour_start_at, amounts.part_start_at, amounts.resource_id, amounts.slot_key, amounts.is_one_part,
        case amounts.basis
            when 'gpu' then rates.gpu_is_declared when 'cpu' then rates.cpu_is_declared
            when 'memory' then rates.memory_is_declared when 'disk' then rates.disk_is_declared else false
        end as is_declared,
        sum(round(amounts.amount::double * case amounts.basis
            when 'gpu' then coalesce(of_model.gpu_rate, rates.gpu_rate) when 'cpu' then rates.cpu_rate
            when 'memory' then rates.memory_rate when 'disk' then rates.disk_rate else 1
        end)::hugeint) as rated_amount
    from amounts
    left join {{ ref('int_split_rates') }} as rates
        on amounts.usage_date = rates.usage_date and amounts.node_cost_split = rates.split and rates.gpu_model is null
    left join {{ ref('int_split_rates') }} as of_model
        on amounts.usage_date = of_model.usage_date and amounts.node_cost_split = of_model.split
        and lower(amounts.gpu_model) = of_model.gpu_model
    group by all
),

-- a declared rate is money per hour: in units of 10^-12 of the reporting currency
weighed as (
    select
        *,
        coalesce(sum(case when is_declared then rated_amount end) over node_part, 0) * 1000000000000 // 3600000000 as declared_units,
        coalesce(sum(case when not is_declared then rated_amount end) over node_part, 0) as weighted_amount
    from rated
    window node_part as (partition by hour_start_at, part_start_at, resource_id)
),

shared_out as (
    select
        weighed.usage_date, weighed.hour_start_at, weighed.part_start_at, weighed.slot_key, weighed.is_one_part, weighed.resource_id,
        charges.* exclude (usage_date, hour_start_at, part_start_at, resource_id),
        case
            when weighed.declared_units = 0 then weighed.rated_amount
            when weighed.is_declared then weighed.rated_amount * 1000000000000 // 3600000000
            when weighed.declared_units >= charges.node_units or weighed.weighted_amount = 0 then 0
            else (charges.node_units - weighed.declared_units) * (weighed.rated_amount // (1 + weighed.weighted_amount // 1000000000000000))
                // (weighed.weighted_amount // (1 + weighed.weighted_amount // 1000000000000000))
        end as unit_weight,
        row_number() over (order by charges.hour_start_at, charges.part_start_at, charges.resource_id, charges.source_name,
            charges.billed_by, charges.billing_period, charges.component, charges.is_unused_commitment, charges.bill_team,
            charges.bill_cost_centre, weighed.slot_key) as unit_number
    from weighed
    inner join charges
        on weighed.hour_start_at = charges.hour_start_at and weighed.part_start_at = charges.part_start_at
        and weighed.resource_id = charges.resource_id
),

split as (
    {{ split_exact('shared_out', by=['hour_start_at', 'part_start_at', 'resource_id'] + bill, amount='cost', weight='unit_weight',
        tie_break=['unit_number'], keep=['usage_date', 'hour_start_at', 'part_start_at', 'slot_key', 'is_one_part', 'resource_id'] + bill,
        into='cost') }}
)

-- a slot of several cloud instances (a pool; a node replaced within the hour) gathers their cost for the hour: it is not cut where a price changes
select
    usage_date,
    hour_start_at,
    case when is_one_part then hour_start_at else part_start_at end as part_start_at,
    slot_key,
    case when count(distinct resource_id) = 1 then min(resource_id) end as resource_id,
    {{ bill | join(',\n    ') }},
    sum(cost) as cost
from split
group by all
