-- Every slot-hour, cut where anything changes: one row per slot and stretch in which the same units exist in the same state, the same holders
-- hold them and the cost is the same, with what exists in parts times microseconds. A pool is not cut: in it, time is weighed by the hour.
with slots as (
    select * from {{ ref('int_slots') }} where {{ in_build_days('usage_date') }}
),

keys as (
    select
        usage_date, hour_start_at, slot_key, slot_level, basis, cluster, pool, slot_node as node, slot_gpu_id as gpu_id, slot_gpu_model,
        node_cost_split, min(gpu_model) as gpu_model
    from slots
    group by all
),

-- what exists, in parts of the slot's resource
existing as (
    select
        slots.slot_key, slots.slot_level, slots.hour_start_at, spans.span_start_at, spans.span_end_at, spans.state,
        {{ parts("case slots.basis when 'gpu' then spans.gpu_count when 'cpu' then spans.cpu_count when 'memory' then spans.memory_gb"
            ~ " when 'disk' then spans.disk_gb else 1 end") }} as parts
    from slots
    inner join {{ ref('int_capacity_spans') }} as spans
        on slots.hour_start_at = spans.hour_start_at and slots.cluster = spans.cluster and slots.node = spans.node
        and slots.gpu_id is not distinct from spans.gpu_id and slots.gpu_model is not distinct from spans.gpu_model
        and slots.resource_id = spans.resource_id and slots.pool = spans.pool
    where {{ in_build_days('spans.usage_date') }}
),

borders as (
    select slot_key, slot_level, hour_start_at, span_start_at, span_end_at from existing
    union all
    select slot_key, slot_level, hour_start_at, span_start_at, span_end_at
    from {{ ref('int_slot_holdings') }}
    where {{ in_build_days('usage_date') }}
    union all
    select keys.slot_key, keys.slot_level, keys.hour_start_at, instances.started_at, instances.ended_at
    from keys
    inner join {{ ref('stg_telemetry__gpu_instances') }} as instances
        on keys.gpu_id = instances.gpu_id and (instances.node is null or instances.node = keys.node)
        and instances.started_at < keys.hour_start_at + interval 1 hour and instances.ended_at > keys.hour_start_at
    union all
    select keys.slot_key, keys.slot_level, keys.hour_start_at, full_nodes.span_start_at, full_nodes.span_end_at
    from keys
    inner join {{ ref('int_full_nodes') }} as full_nodes
        on keys.hour_start_at = full_nodes.hour_start_at and keys.cluster = full_nodes.cluster and keys.node = full_nodes.node
    where keys.basis = 'gpu' and {{ in_build_days('full_nodes.usage_date') }}
    union all
    select slots.slot_key, slots.slot_level, slots.hour_start_at, hour_parts.part_start_at, hour_parts.part_end_at
    from slots
    inner join {{ ref('int_hour_parts') }} as hour_parts
        on slots.hour_start_at = hour_parts.hour_start_at and slots.resource_id = hour_parts.resource_id
    where {{ in_build_days('hour_parts.usage_date') }}
),

cuts as (
    select distinct
        slot_key, hour_start_at,
        case when slot_level = 'pool' then hour_start_at + hours * interval 1 hour
            else greatest(hour_start_at, least(moment, hour_start_at + interval 1 hour)) end as moment
    from (
        select slot_key, slot_level, hour_start_at, {{ unfolded({'moment': ['span_start_at', 'span_end_at'], 'hours': [0, 1]}) }} from borders
    )
),

segments as (
    select *
    from (
        select
            slot_key, hour_start_at, moment as segment_start_at,
            lead(moment) over (partition by slot_key, hour_start_at order by moment) as segment_end_at
        from cuts
    )
    where segment_end_at is not null
),

measured as (
    select
        segments.slot_key, segments.hour_start_at, segments.segment_start_at,
        sum(case when existing.state = 'up' then existing.parts::hugeint * {{ shared_microseconds('existing', 'segments') }} else 0 end)
            as up_parts,
        sum(case when existing.state = 'drain' then existing.parts::hugeint * {{ shared_microseconds('existing', 'segments') }} else 0 end)
            as drain_parts,
        sum(case when existing.state = 'down' then existing.parts::hugeint * {{ shared_microseconds('existing', 'segments') }} else 0 end)
            as down_parts
    from segments
    inner join existing
        on segments.slot_key = existing.slot_key and segments.hour_start_at = existing.hour_start_at
        and existing.span_start_at < segments.segment_end_at and existing.span_end_at > segments.segment_start_at
    group by all
)

select
    keys.*,
    segments.segment_start_at,
    segments.segment_end_at,
    {{ microseconds_between('segments.segment_start_at', 'segments.segment_end_at') }} as microseconds,
    coalesce(measured.up_parts, 0)::hugeint as up_parts,
    coalesce(measured.drain_parts, 0)::hugeint as drain_parts,
    coalesce(measured.down_parts, 0)::hugeint as down_parts,
    coalesce(hour_parts.part_start_at, keys.hour_start_at) as part_start_at,
    full_nodes.full_of
from segments
inner join keys on segments.slot_key = keys.slot_key and segments.hour_start_at = keys.hour_start_at
left join measured
    on segments.slot_key = measured.slot_key and segments.hour_start_at = measured.hour_start_at
    and segments.segment_start_at = measured.segment_start_at
-- a slot of several cloud instances is one part
left join (
    select slot_key, hour_start_at, min(resource_id) as resource_id
    from slots
    where slot_level <> 'pool'
    group by all
    having count(distinct resource_id) = 1
) as resources
    on segments.slot_key = resources.slot_key and segments.hour_start_at = resources.hour_start_at
left join {{ ref('int_hour_parts') }} as hour_parts
    on resources.resource_id = hour_parts.resource_id and segments.hour_start_at = hour_parts.hour_start_at
    and hour_parts.part_start_at <= segments.segment_start_at and segments.segment_start_at < hour_parts.part_end_at
left join {{ ref('int_full_nodes') }} as full_nodes
    on keys.basis = 'gpu' and keys.hour_start_at = full_nodes.hour_start_at and keys.cluster = full_nodes.cluster
    and keys.node = full_nodes.node and full_nodes.span_start_at <= segments.segment_start_at
    and segments.segment_start_at < full_nodes.span_end_at
