-- How a holder used what it held: one row per segment and holder, with the part that was active (`productive_parts`), the part that nobody
-- saw (`unseen_parts`), the rest being quiet, and how good the evidence is. Best evidence first: the holder's own processes, its MIG instance,
-- the GPU; where a node's holders name no GPU, the busy time of all its GPUs is theirs together.
with shares as (
    select * from {{ ref('int_segment_shares') }} where {{ in_build_days('usage_date') }}
),

existing as (
    select
        slot_key, segment_start_at,
        ((up_parts + drain_parts + down_parts) // {{ parts_of_one() }})::hugeint as existing_microseconds
    from {{ ref('int_slot_segments') }}
    where {{ in_build_days('usage_date') }}
),

seen as (
    select
        shares.*,
        existing.existing_microseconds,
        sum(shares.held_parts) over (partition by shares.slot_key, shares.segment_start_at) as held_total,
        devices.busy_microseconds as device_busy,
        devices.covered_microseconds as device_covered,
        instances.busy_microseconds as instance_busy,
        instances.covered_microseconds as instance_covered
    from shares
    inner join existing on shares.slot_key = existing.slot_key and shares.segment_start_at = existing.segment_start_at
    left join {{ ref('int_gpu_spans__sampled') }} as devices
        on shares.basis = 'gpu' and shares.slot_level in ('gpu', 'node') and shares.hour_start_at = devices.hour_start_at
        and shares.node = devices.node and shares.segment_start_at = devices.span_start_at
        and case when shares.slot_level = 'gpu' then shares.gpu_id end is not distinct from devices.gpu_id
        and devices.covered_microseconds > 0
    left join {{ ref('int_instance_spans__sampled') }} as instances
        on shares.slot_level = 'gpu' and shares.hour_start_at = instances.hour_start_at and shares.gpu_id = instances.gpu_id
        and shares.node = instances.node and shares.instance_id = instances.instance_id
        and shares.segment_start_at = instances.span_start_at
        and instances.covered_microseconds > 0
),

graded as (
    select
        *,
        case
            when basis in ('cpu', 'memory') and used_parts is not null then 'process'
            when process_microseconds is not null then 'process'
            when instance_covered is not null then 'instance'
            when device_covered is not null then 'device'
            else 'requested'
        end as evidence
    from seen
),

covered as (
    select
        *,
        case
            when evidence = 'requested' then 0
            when basis in ('cpu', 'memory') then held_parts
            when evidence = 'process' then held_parts * process_covered_microseconds // microseconds
            when evidence = 'instance' then held_parts * instance_covered // microseconds
            else least(held_parts, held_parts * device_covered // greatest(existing_microseconds, 1))
        end as covered_parts
    from graded
)

select
    * exclude (device_busy, device_covered, instance_busy, instance_covered, existing_microseconds, held_total, covered_parts),
    least(covered_parts, case
        when evidence = 'requested' then 0
        when basis in ('cpu', 'memory') then used_parts
        when evidence = 'process' then seen_parts
        when evidence = 'instance' then held_parts * instance_busy // microseconds
        -- a node of one GPU is that GPU
        when slot_level = 'gpu' or existing_microseconds <= microseconds then held_parts * device_busy // greatest(existing_microseconds, 1)
        else held_parts * device_busy // greatest(held_total // {{ parts_of_one() }}, 1)
    end)::hugeint as productive_parts,
    (held_parts - covered_parts)::hugeint as unseen_parts
from covered
