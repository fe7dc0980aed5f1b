-- A part of a slot-hour whose layers do not add up to exactly what it cost: money appeared or was lost.
select
    whole.hour_start_at,
    whole.part_start_at,
    whole.slot_key,
    whole.cost,
    coalesce(parts.cost, 0) as parts_cost
from (
    select hour_start_at, part_start_at, slot_key, sum(cost) as cost
    from {{ ref('int_slot_costs') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as whole
left join (
    select hour_start_at, part_start_at, slot_key, sum(allocated_cost) as cost
    from {{ ref('int_slot_hours__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as parts
    on whole.hour_start_at = parts.hour_start_at and whole.part_start_at = parts.part_start_at and whole.slot_key = parts.slot_key
where coalesce(parts.cost, 0) <> whole.cost
