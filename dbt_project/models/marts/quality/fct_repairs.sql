-- What cleaning mended of the telemetry: one row per day, source and kind of repair, with how many records and how many hours it
-- concerned. Nothing here is an error; it says how much of the metering rests on a repair. Samples are read once, in one plain aggregate.
{{ config(materialized='incremental', incremental_strategy='days') }}

with delivered as (
    select
        source_name, coalesce(started_at, submitted_at)::date as usage_date, 'holdings' as table_name, count(*) as row_count
    from {{ source('raw', 'holdings') }}
    where {{ in_build_days('coalesce(started_at, submitted_at)::date') }}
    group by all
    union all
    select source_name, started_at::date, 'capacity', count(*)
    from {{ source('raw', 'capacity') }}
    where {{ in_build_days('started_at::date') }}
    group by all
),

staged as (
    select source_name, holding_date as usage_date, 'holdings' as table_name, count(*) as row_count
    from {{ ref('stg_telemetry__holdings') }}
    where {{ in_build_days('holding_date') }}
    group by all
    union all
    select source_name, started_at::date, 'capacity', count(*)
    from {{ ref('stg_telemetry__capacity') }}
    where {{ in_build_days('started_at::date') }}
    group by all
),

-- the same order as int_holdings__cleaned, which counts each second of an attempt once
attempts as (
    select
        *,
        max(ended_at) over (
            partition by source_name, cluster, holding_id, node
            order by started_at, ended_at, file_name, file_row rows between unbounded preceding and 1 preceding
        ) as held_until_at
    from {{ ref('stg_telemetry__holdings') }}
    where started_at is not null and {{ may_overlap_build_days('started_at', 'ended_at') }}
),

stretches as (
    select source_name, 'overlap' as repair, started_at, least(ended_at, held_until_at) as ended_at
    from attempts
    where held_until_at > started_at
    union all
    select source_name, 'open_end', started_at, ended_at from attempts where is_open
),

of_attempts as (
    select
        day_start_at::date as usage_date, source_name, repair, count(*) as record_count,
        sum({{ overlap_microseconds('started_at', 'ended_at', 'day_start_at', 'day') }}) as microseconds
    from (select *, {{ slots('started_at', 'ended_at', 'day') }} as day_start_at from stretches)
    where {{ in_build_days('day_start_at::date') }}
    group by all
),

held as (
    select
        usage_date, source_name, cluster, holding_id, node,
        {{ sum_hours('held_gpu_hours - gpu_hours') }} as beyond_hours,
        {{ sum_hours("case when layer = 'unknown' and slot_level <> 'none' then gpu_hours else 0 end") }} as unseen_hours,
        bool_or(cost_reason = 'node not in the capacity list') as is_elsewhere,
        {{ sum_hours('gpu_hours') }} as gpu_hours
    from {{ ref('fct_gpu_hours') }}
    where is_held and resource = 'gpu' and {{ in_build_days('usage_date') }}
    group by all
),

of_holdings as (
    {%- for repair, found in {
        'beyond_capacity': ['beyond_hours', 'beyond_hours > 0.000001'],
        'unseen': ['unseen_hours', 'unseen_hours > 0.000001'],
        'unknown_node': ['gpu_hours', 'is_elsewhere'],
    }.items() %}
    select usage_date, source_name, '{{ repair }}' as repair, count(*) as record_count, {{ sum_hours(found[0]) }} as hours
    from held
    where {{ found[1] }}
    group by all
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

samples as (
    select
        usage_date, source_name, node,
        sum(case when activity_ratio is null and process_sm_ratio is null then 1 else 0 end) as silent_count
    from {{ ref('stg_telemetry__gpu_samples') }}
    where {{ in_build_days('usage_date') }}
    group by all
),

shares as (
    select slot_key, segment_start_at, sum(held_parts) as held_parts
    from {{ ref('int_segment_shares') }}
    where basis = 'gpu' and {{ in_build_days('usage_date') }}
    group by all
),

-- of a node's GPUs together, what was busy beyond what was held; of one GPU, what was busy while nobody held any of it
busy as (
    select
        segments.usage_date, segments.node, segments.gpu_id,
        sum(greatest(
            sampled.busy_microseconds::hugeint * {{ parts_of_one() }} - coalesce(shares.held_parts, 0), 0
        )) as part_microseconds
    from {{ ref('int_slot_segments') }} as segments
    inner join {{ ref('int_gpu_spans__sampled') }} as sampled
        on segments.hour_start_at = sampled.hour_start_at and segments.node = sampled.node
        and segments.gpu_id is not distinct from sampled.gpu_id and segments.segment_start_at = sampled.span_start_at
    left join shares on segments.slot_key = shares.slot_key and segments.segment_start_at = shares.segment_start_at
    where segments.basis = 'gpu' and segments.slot_level in ('gpu', 'node') and sampled.busy_microseconds > 0
        and (segments.slot_level = 'node' or coalesce(shares.held_parts, 0) = 0)
        and {{ in_build_days('segments.usage_date') }} and {{ in_build_days('sampled.usage_date') }}
    group by all
    having part_microseconds > 0
),

-- samples that name no node are found by their GPU: the day's first source stands for them
busy_of_source as (
    select busy.*, coalesce(of_node.source_name, of_day.source_name) as source_name
    from busy
    left join (select usage_date, node, min(source_name) as source_name from samples group by all) as of_node
        on busy.usage_date = of_node.usage_date and busy.node = of_node.node
    left join (select usage_date, min(source_name) as source_name from samples group by all) as of_day
        on busy.usage_date = of_day.usage_date
)

select delivered.usage_date, delivered.source_name, 'repeated_' || delivered.table_name as repair,
    (delivered.row_count - coalesce(staged.row_count, 0))::bigint as record_count, null::double as hours, null::varchar as hours_of
from delivered
left join staged using (usage_date, source_name, table_name)
where delivered.row_count > coalesce(staged.row_count, 0)
union all
select usage_date, source_name, repair, record_count::bigint, microseconds::double / 3600000000.0, 'attempts' from of_attempts
union all
select usage_date, source_name, repair, record_count::bigint, hours, 'GPUs' from of_holdings
union all
select usage_date, source_name, 'sample_without_activity', sum(silent_count)::bigint, null, null
from samples
group by all
having sum(silent_count) > 0
union all
select usage_date, source_name, 'busy_unheld', count(*)::bigint, {{ part_hours('sum(part_microseconds)') }}, 'GPUs'
from busy_of_source
group by all
