-- What nobody held: one row per segment with the parts that were idle, stranded, down, and, where no holding was reported in the cluster that
-- day, unknown: by time, and by what is left to pay for (holders may pay for less or more than they held). Stranded is what could not be
-- held: GPUs of a node without a free CPU or GB of memory, and MIG slices that fit no further instance: a compute slice needs at least one
-- memory slice and takes at most two (NVIDIA Multi-Instance GPU User Guide).
with segments as (
    select * from {{ ref('int_slot_segments') }} where {{ in_build_days('usage_date') }}
),

held as (
    select
        slot_key, segment_start_at,
        sum(held_parts) as held_parts, sum(paid_parts) as paid_parts,
        sum(compute_parts) as compute_parts, sum(memory_parts) as memory_parts,
        sum(case when gpu_profile is not null then gpu_parts end) as slice_parts,
        min(mig_share) filter (where gpu_profile is not null) as mig_share
    from {{ ref('int_segment_shares') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

-- an instance that the list has twice is there once
laid_out as (
    select distinct segments.slot_key, segments.segment_start_at, segments.gpu_model, instances.instance_id, instances.profile
    from segments
    inner join {{ ref('stg_telemetry__gpu_instances') }} as instances
        on segments.gpu_id = instances.gpu_id and (instances.node is null or instances.node = segments.node)
        and instances.started_at <= segments.segment_start_at and segments.segment_start_at < instances.ended_at
    where segments.slot_level = 'gpu'
),

layouts as (
    select
        slot_key, segment_start_at,
        sum({{ mig_compute_parts('profile', 'gpu_model') }}) as compute_parts,
        sum({{ mig_memory_parts('profile', 'gpu_model', 'null') }}) as memory_parts,
        sum(greatest({{ mig_compute_parts('profile', 'gpu_model') }}, {{ mig_memory_parts('profile', 'gpu_model', 'null') }})) as larger_parts
    from laid_out
    group by all
),

free as (
    select
        segments.*,
        coalesce(held.held_parts, 0)::hugeint as held_parts,
        coalesce(held.paid_parts, 0)::hugeint as paid_parts,
        case when segments.slot_level = 'gpu' then coalesce(held.mig_share, case when layouts.slot_key is not null then policies.mig_share end)
            end as mig_share,
        greatest({{ parts_of_one() }} - greatest(coalesce(held.compute_parts, 0), coalesce(layouts.compute_parts, 0)), 0) as free_compute,
        greatest({{ parts_of_one() }} - greatest(coalesce(held.memory_parts, 0), coalesce(layouts.memory_parts, 0)), 0) as free_memory,
        greatest({{ parts_of_one() }} - greatest(coalesce(held.slice_parts, 0), coalesce(layouts.larger_parts, 0)), 0) as free_larger,
        evidence.cluster is not null as has_evidence
    from segments
    left join held on segments.slot_key = held.slot_key and segments.segment_start_at = held.segment_start_at
    left join layouts on segments.slot_key = layouts.slot_key and segments.segment_start_at = layouts.segment_start_at
    left join {{ ref('int_pool_policies') }} as policies
        on layouts.slot_key is not null and segments.usage_date = policies.usage_date and segments.cluster = policies.cluster
        and segments.pool = policies.pool
    left join (
        select distinct usage_date, cluster from {{ ref('int_holding_spans') }} where {{ in_build_days('usage_date') }}
    ) as evidence on segments.usage_date = evidence.usage_date and segments.cluster = evidence.cluster
),

usable as (
    select
        *,
        case
            when mig_share is null then 0
            when mig_share = 'compute' then greatest(free_compute - least(free_compute, free_memory * 8 // 7), 0)
            when mig_share = 'memory' then greatest(free_memory - least(free_memory, 2 * free_compute * 7 // 8), 0)
            else greatest(free_larger - greatest(
                least(free_compute, free_memory * 8 // 7), least(free_memory, 2 * free_compute * 7 // 8)
            ), 0)
        end::hugeint * microseconds as stranded_slices
    from free
),

rests as (
    select
        *,
        least(up_parts, up_parts + drain_parts - held_parts) as unheld_parts,
        least(up_parts, up_parts + drain_parts - paid_parts) as unpaid_parts,
        case when full_of is not null then up_parts else stranded_slices end as strandable_parts
    from usable
)

select
    * exclude (free_compute, free_memory, free_larger, stranded_slices, mig_share, full_of),
    case when full_of is not null then 'no ' || full_of || ' left on the node' when stranded_slices > 0 then 'no MIG instance fits' end as reason,
    case when has_evidence then least(unheld_parts, strandable_parts) else 0 end as stranded_parts,
    case when has_evidence then least(unpaid_parts, strandable_parts) else 0 end as stranded_weight,
    down_parts + up_parts + drain_parts - held_parts - unheld_parts as down_now_parts,
    down_parts + up_parts + drain_parts - paid_parts - unpaid_parts as down_now_weight
from rests
