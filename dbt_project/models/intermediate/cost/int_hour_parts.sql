-- The hours of a node that are cut in parts, because inside them its price or SKU changes, or a charge of it begins or ends: one row per
-- part, in order and without a gap; an hour that is not cut has none. A cut takes effect only between times in which the node existed:
-- a part without any capacity is one with the part before it (the first with the next), so that its cost still finds the node.
-- `existed_microseconds`: how long the node existed in the part; a cost for the whole hour is split by it.
with capacity as (
    select * from {{ ref('stg_telemetry__capacity') }} where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

-- boundaries of a node's own bill lines, of what is attached to it, of its rows in the capacity list, and of its prices
{% set own = "resource_id in (select capacity.resource_id from capacity) and charge_category not in ('Tax', 'Credit', 'Adjustment')" -%}

cuts as (
    select resource_id, accrues_from_at as cut_at
    from {{ ref('int_charges__owned') }}
    where not {{ on_the_hour('accrues_from_at') }} and {{ own }}
        and {{ may_overlap_build_days('accrues_from_at', 'accrues_until_at') }}
    union
    select resource_id, accrues_until_at
    from {{ ref('int_charges__owned') }}
    where not {{ on_the_hour('accrues_until_at') }} and {{ own }}
        and {{ may_overlap_build_days('accrues_from_at', 'accrues_until_at') }}
    union
    select node_resource_id, from_at from {{ ref('int_charges__attached') }} where not {{ on_the_hour('from_at') }}
    union
    select node_resource_id, until_at from {{ ref('int_charges__attached') }} where not {{ on_the_hour('until_at') }}
    union
    select * from ({{ changes_of_capacity('capacity') }})
    union
    select resource_id, valid_from from {{ ref('int_prices__of_nodes') }} where not {{ on_the_hour('valid_from') }}
    union
    select resource_id, valid_to from {{ ref('int_prices__of_nodes') }} where not {{ on_the_hour('valid_to') }}
    union
    select prices.resource_id, {{ moment_of_day('usage_date', 'prices.day_cut') }}
    from (
        select resource_id, day_from as day_cut from {{ ref('int_prices__of_nodes') }}
        union
        select resource_id, day_to from {{ ref('int_prices__of_nodes') }}
    ) as prices
    inner join {{ source('meta', 'build_days') }} on prices.day_cut % 3600000000 <> 0
),

hour_cuts as (
    select resource_id, date_trunc('hour', cut_at) as hour_start_at, cut_at
    from cuts
    where {{ in_build_days('cut_at::date') }}
    union
    select resource_id, date_trunc('hour', cut_at), date_trunc('hour', cut_at)
    from cuts
    where {{ in_build_days('cut_at::date') }}
),

pieces as (
    select
        *,
        coalesce(
            lead(cut_at) over (partition by resource_id, hour_start_at order by cut_at), hour_start_at + interval 1 hour
        ) as piece_end_at
    from hour_cuts
),

covered as (
    select
        pieces.resource_id, pieces.hour_start_at, pieces.cut_at, pieces.piece_end_at,
        greatest(capacity.started_at, pieces.cut_at) as from_at,
        least(capacity.ended_at, pieces.piece_end_at) as until_at
    from pieces
    inner join capacity
        on pieces.resource_id = capacity.resource_id and capacity.started_at < pieces.piece_end_at and pieces.cut_at < capacity.ended_at
),

existed as (
    select resource_id, cut_at, sum(microseconds)::bigint as microseconds
    from (
        select resource_id, cut_at, {{ newly_covered('from_at', 'until_at', ['resource_id', 'cut_at']) }} as microseconds from covered
    )
    group by all
),

joined as (
    select
        pieces.*,
        coalesce(existed.microseconds, 0) as microseconds,
        greatest(
            count(existed.resource_id) over (
                partition by pieces.resource_id, pieces.hour_start_at order by pieces.cut_at rows between unbounded preceding and current row
            ), 1
        ) as part_number
    from pieces
    left join existed on pieces.resource_id = existed.resource_id and pieces.cut_at = existed.cut_at
),

parts as (
    select
        hour_start_at, resource_id, part_number,
        min(cut_at) as part_start_at, max(piece_end_at) as part_end_at, sum(microseconds)::bigint as existed_microseconds
    from joined
    group by all
)

select hour_start_at::date as usage_date, hour_start_at, resource_id, part_start_at, part_end_at, existed_microseconds
from parts
qualify count(*) over (partition by hour_start_at, resource_id) > 1
