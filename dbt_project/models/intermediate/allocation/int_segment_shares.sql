-- Who bears what of a segment: one row per segment and holder, with the time it held (`held_parts`, scaled where more was promised than
-- exists) and the weight by which it pays (`paid_parts`), both in parts times microseconds; Σ over holders is at most what could be held.
-- By policy a shared GPU is paid by the SM time seen of each process (`process`: those seen share among them what they declared), by what
-- was declared, or by the larger of both; CPU and memory by request, usage or the larger.
with segments as (
    select *, (up_parts + drain_parts)::hugeint as usable_parts from {{ ref('int_slot_segments') }} where {{ in_build_days('usage_date') }}
),

holders as (
    select
        segments.segment_start_at, segments.segment_end_at, segments.microseconds, segments.usable_parts, segments.part_start_at,
        segments.gpu_model,
        holdings.*,
        case
            when holdings.basis <> 'gpu' then holdings.cpu_memory_share
            when holdings.gpu_profile is not null then 'mig_' || holdings.mig_share
            when holdings.is_shared then holdings.shared_gpu_split
            else 'time'
        end as share_method,
        {{ shared_microseconds('holdings', 'segments') }} as shared_microseconds
    from segments
    inner join {{ ref('int_slot_holdings') }} as holdings
        on segments.slot_key = holdings.slot_key and segments.hour_start_at = holdings.hour_start_at
        and holdings.span_start_at < segments.segment_end_at and holdings.span_end_at > segments.segment_start_at
    where {{ in_build_days('holdings.usage_date') }}
),

-- rows of one holder that say the same second twice are one
once as (
    select
        holders.* exclude (declared_parts, used_parts, shared_microseconds, span_start_at, span_end_at),
        (declared_parts::hugeint * shared_microseconds)::hugeint as declared_parts,
        (used_parts::hugeint * shared_microseconds)::hugeint as used_parts,
        case when holders.is_shared or holders.instance_id is not null
            then coalesce(by_id.busy_microseconds, by_pod.busy_microseconds, by_name.busy_microseconds) end as process_microseconds,
        coalesce(by_id.covered_microseconds, by_pod.covered_microseconds, by_name.covered_microseconds) as process_covered_microseconds
    from holders
    {%- for alias, key in {'by_id': 'holding_id', 'by_pod': 'pod_name', 'by_name': 'name'}.items() %}
    left join {{ ref('int_process_spans__sampled') }} as {{ alias }}
        on holders.slot_level = 'gpu' and holders.hour_start_at = {{ alias }}.hour_start_at and holders.gpu_id = {{ alias }}.gpu_id
        and holders.segment_start_at = {{ alias }}.span_start_at and holders.node = {{ alias }}.node
        and holders.{{ key }} = {{ alias }}.holding_id
    {%- endfor %}
),

seen as (
    select
        *,
        (process_microseconds::hugeint * {{ parts_of_one() }})::hugeint as seen_parts,
        row_number() over in_segment as holder_number
    from once
    window in_segment as (
        partition by slot_key, segment_start_at order by source_name, holding_id, node, gpu_id, instance_id, declared_parts
    )
),

asked as (
    select
        *,
        case
            when basis in ('cpu', 'memory') and used_parts is not null and cpu_memory_share = 'usage' then used_parts
            when basis in ('cpu', 'memory') and used_parts is not null and cpu_memory_share = 'larger' then greatest(declared_parts, used_parts)
            when is_shared and seen_parts is not null and shared_gpu_split = 'larger' then greatest(declared_parts, seen_parts)
            when is_shared and seen_parts is not null and shared_gpu_split = 'process' and seen_total > 0
                then {{ proportion('seen_parts', 'seen_so_far', 'seen_total', 'seen_declared') }}
            else declared_parts
        end as asked_parts
    from (
        select
            *,
            sum(case when is_shared then seen_parts end) over in_segment as seen_total,
            sum(case when is_shared then seen_parts end) over so_far as seen_so_far,
            sum(case when is_shared and seen_parts is not null then declared_parts end) over in_segment as seen_declared
        from seen
        window in_segment as (partition by slot_key, segment_start_at),
            so_far as (partition by slot_key, segment_start_at order by holder_number rows between unbounded preceding and current row)
    )
)

select
    * exclude (seen_total, seen_so_far, seen_declared, asked_parts, declared_total, declared_so_far, asked_total, asked_so_far),
    -- what a holder used of CPU and memory beyond its request it held
    (case
        when basis in ('cpu', 'memory') then {{ rationed('asked_parts', 'asked_so_far', 'asked_total', 'usable_parts') }}
        else {{ rationed('declared_parts', 'declared_so_far', 'declared_total', 'usable_parts') }}
    end)::hugeint as held_parts,
    ({{ rationed('asked_parts', 'asked_so_far', 'asked_total', 'usable_parts') }})::hugeint as paid_parts
from (
    select
        *,
        sum(declared_parts) over in_segment as declared_total,
        sum(declared_parts) over so_far as declared_so_far,
        sum(asked_parts) over in_segment as asked_total,
        sum(asked_parts) over so_far as asked_so_far
    from asked
    window in_segment as (partition by slot_key, segment_start_at),
        so_far as (partition by slot_key, segment_start_at order by holder_number rows between unbounded preceding and current row)
)
