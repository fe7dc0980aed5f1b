-- One row per slot-hour and layer: held (one row per holder), idle or unknown, down; in microseconds of the slot's basis
-- (GPU or CPU). Held time beyond the capacity is kept as it was said (`microseconds`); `share_ratio` scales it so that the
-- layers of a slot-hour add up to what existed. Unknown: no holding was reported in the cluster that day.
with slots as (
    select
        usage_date,
        hour_start_at,
        slot_level,
        cluster,
        pool,
        slot_node as node,
        slot_gpu_id as gpu_id,
        basis,
        max(gpu_model) as gpu_model,
        sum(case when basis = 'gpu' then gpu_up_microseconds else cpu_up_microseconds end)::bigint as up_microseconds,
        sum(case when basis = 'gpu' then gpu_down_microseconds else cpu_down_microseconds end)::bigint as down_microseconds,
        sum(gpu_up_microseconds)::bigint as gpu_up_microseconds,
        sum(gpu_down_microseconds)::bigint as gpu_down_microseconds
    from {{ ref('int_slots') }}
    where {{ in_build_days('usage_date') }} and not (slot_level = 'node' and slot_node is null)
    group by all
),

-- a holder sits in the slot of its GPU, else of its node, else of its pool
held as (
    select
        holdings.*,
        slots.slot_level,
        slots.basis,
        case when slots.basis = 'gpu' then holdings.gpu_microseconds else holdings.cpu_microseconds end as microseconds
    from {{ ref('int_holding_hours') }} as holdings
    inner join slots
        on holdings.hour_start_at = slots.hour_start_at and holdings.cluster = slots.cluster and holdings.pool = slots.pool
        and (slots.node is null or slots.node = holdings.node)
        and (slots.gpu_id is null or slots.gpu_id = holdings.gpu_id)
    where {{ in_build_days('holdings.usage_date') }} and (holdings.is_on_known_node or holdings.node is null)
),

held_in_slot as (
    select hour_start_at, cluster, pool, slot_level, node_of_slot, gpu_of_slot, sum(microseconds)::bigint as held_microseconds
    from (
        select
            *,
            case when slot_level <> 'pool' then node end as node_of_slot,
            case when slot_level = 'gpu' then gpu_id end as gpu_of_slot
        from held
    )
    group by all
),

evidence as (
    select distinct usage_date, cluster from {{ ref('int_holding_hours') }} where {{ in_build_days('usage_date') }}
),

measured as (
    select
        slots.*,
        coalesce(held_in_slot.held_microseconds, 0) as held_microseconds,
        evidence.cluster is not null as has_evidence
    from slots
    left join held_in_slot
        on slots.hour_start_at = held_in_slot.hour_start_at and slots.cluster = held_in_slot.cluster
        and slots.pool = held_in_slot.pool and slots.slot_level = held_in_slot.slot_level
        and slots.node is not distinct from held_in_slot.node_of_slot
        and slots.gpu_id is not distinct from held_in_slot.gpu_of_slot
    left join evidence on slots.usage_date = evidence.usage_date and slots.cluster = evidence.cluster
),

{% set slot = ['usage_date', 'hour_start_at', 'slot_level', 'cluster', 'pool', 'node', 'gpu_id', 'gpu_model', 'basis'] -%}

layers as (
    select
        {% for column in slot %}measured.{{ column }}, {% endfor %}
        'held' as layer,
        held.source_name, held.holding_id, held.job_id, held.holder_kind, held.name, held.model, held.team, held.cost_centre,
        held.node as holder_node, held.gpu_id as holder_gpu_id,
        held.microseconds, held.gpu_microseconds, held.cpu_microseconds,
        least(1, measured.up_microseconds / nullif(measured.held_microseconds, 0)) as share_ratio
    from measured
    inner join held
        on measured.hour_start_at = held.hour_start_at and measured.cluster = held.cluster and measured.pool = held.pool
        and measured.slot_level = held.slot_level
        and (measured.node is null or measured.node = held.node)
        and (measured.gpu_id is null or measured.gpu_id = held.gpu_id)

    union all

    select
        {% for column in slot %}{{ column }}, {% endfor %}
        case when has_evidence then 'idle' else 'unknown' end as layer,
        null, null, null, null, null, null, null, null, node, gpu_id,
        greatest(up_microseconds - held_microseconds, 0) as microseconds,
        case when basis = 'gpu' then greatest(up_microseconds - held_microseconds, 0) else 0 end as gpu_microseconds,
        case when basis = 'cpu' then greatest(up_microseconds - held_microseconds, 0) else 0 end as cpu_microseconds,
        1 as share_ratio
    from measured

    union all

    select
        {% for column in slot %}{{ column }}, {% endfor %}
        'down' as layer,
        null, null, null, null, null, null, null, null, node, gpu_id,
        down_microseconds, case when basis = 'gpu' then down_microseconds else 0 end,
        case when basis = 'cpu' then down_microseconds else 0 end, 1 as share_ratio
    from measured
    where down_microseconds > 0
)

select * from layers
