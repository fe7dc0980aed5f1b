-- A slot-hour whose layers are not what existed, to the part of a microsecond, or that has a layer below zero: time appeared or was lost.
select
    existed.hour_start_at,
    existed.slot_key,
    existed.parts as existed_parts,
    layers.parts as layer_parts
from (
    select hour_start_at, slot_key, sum(up_parts + drain_parts + down_parts) as parts
    from {{ ref('int_slot_segments') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as existed
full join (
    select hour_start_at, slot_key, sum(parts) as parts, min(parts) as least_parts, min(weight) as least_weight
    from {{ ref('int_slot_layers') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as layers
    on existed.hour_start_at = layers.hour_start_at and existed.slot_key = layers.slot_key
where coalesce(existed.parts, 0) <> coalesce(layers.parts, 0) or layers.least_parts < 0 or layers.least_weight < 0
