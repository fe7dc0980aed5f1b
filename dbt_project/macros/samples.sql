{# Days whose samples are read: the build's days, and the day before each, whose last samples stand on past midnight. #}
{% macro sampled_days(samples) -%}
    ({{ in_build_days(samples ~ '.usage_date') }} or {{ in_build_days('(' ~ samples ~ '.usage_date + 1)') }})
{%- endmacro %}

{#
  How busy each span of `int_gpu_spans` was: one row per span (and `own` column) with busy and covered microseconds.

  moments   CTE of samples: source_name, usage_date, node, gpu_id, `own`, us (microseconds since 1970), activity (millionths)
  own       what makes a train of samples beside its GPU: instance_id or holding_id; none for the device

  A sample stands until the next of its train, at most as long as int_sample_intervals says. Of samples of one moment the largest stands, the
  others have no length. Time is cut at hours and, where a GPU's hour has several spans, at theirs; whole numbers make every sum exact.
#}
{% macro sampled_spans(moments, own, evidence) -%}
    {%- set unit = ['node', 'gpu_id'] + own %}
    homes as (
        select gpu_id, min(node) as home from {{ ref('int_gpu_spans') }} where gpu_id is not null group by gpu_id having count(distinct node) = 1
    ),

    named as (
        select distinct {{ unit | join(', ') }} from {{ moments }}
    ),

    units as (
        select named.* exclude (node), named.node as said_node, coalesce(named.node, homes.home) as node,
            dense_rank() over (order by coalesce(named.node, homes.home), named.gpu_id{% for column in own %}, named.{{ column }}{% endfor %})::integer
                as unit
        from named
        left join homes on named.node is null and named.gpu_id = homes.gpu_id
        where coalesce(named.node, homes.home) is not null
    ),

    standing as materialized (
        select
            unit, us, activity,
            least(coalesce(lead(us) over (partition by unit order by us, activity), reach_us), reach_us) as until_us
        from (
            select units.unit, moments.us, moments.activity, moments.us + intervals.gap_microseconds as reach_us
            from {{ moments }} as moments
            inner join units
                on moments.gpu_id = units.gpu_id and moments.node is not distinct from units.said_node
                {%- for column in own %} and moments.{{ column }} = units.{{ column }}{% endfor %}
            inner join {{ ref('int_sample_intervals') }} as intervals
                on moments.source_name = intervals.source_name and moments.usage_date = intervals.usage_date
        )
    ),

    spans as (
        select
            units.unit, spans.*,
            {{ epoch_microseconds('spans.span_start_at') }} as start_us,
            {{ epoch_microseconds('spans.span_end_at') }} as end_us,
            {{ epoch_microseconds('spans.hour_start_at') }} // 3600000000 as hour,
            count(*) over (partition by units.unit, spans.hour_start_at) as spans_of_hour
        from {{ ref('int_gpu_spans') }} as spans
        inner join (select distinct unit, node, gpu_id from units) as units
            on spans.node = units.node and coalesce(spans.gpu_id, units.gpu_id) = units.gpu_id
        where {{ in_build_days('spans.usage_date') }}
    ),

    whole_hours as (
        select unit, hour from spans where spans_of_hour = 1 and end_us - start_us = 3600000000
    ),

    -- a sample stands at most in its own hour and the next, unless samples are hours apart
    by_hour as (
        select
            unit, us // 3600000000 as hour,
            sum(activity * (least(until_us, (us // 3600000000 + 1) * 3600000000) - us)) as activity_time,
            sum(least(until_us, (us // 3600000000 + 1) * 3600000000) - us) as covered,
            count(*) as sample_count
        from standing
        group by unit, us // 3600000000
    ),

    spilling as (
        select standing.unit, standing.activity, {{ hours_between('us', 'until_us') }} as hour, us, until_us
        from standing
        where until_us > (us // 3600000000 + 1) * 3600000000
    ),

    hourly as (
        select unit, hour, sum(activity_time) as activity_time, sum(covered) as covered, sum(sample_count) as sample_count
        from (
            select * from by_hour
            union all
            select
                unit, hour, activity * (least(until_us, (hour + 1) * 3600000000) - hour * 3600000000),
                least(until_us, (hour + 1) * 3600000000) - hour * 3600000000, 0
            from spilling
        )
        semi join whole_hours using (unit, hour)
        group by unit, hour
    ),

    cut_hours as (
        select spans.* from spans anti join whole_hours using (unit, hour)
    ),

    -- samples of hours with several spans, by the hours that they stand in
    near as (
        select unit, us // 3600000000 as hour, us, until_us, activity from standing
        semi join cut_hours on standing.unit = cut_hours.unit and standing.us // 3600000000 = cut_hours.hour
        union all
        select unit, hour, us, until_us, activity from spilling semi join cut_hours using (unit, hour)
    ),

    measured as (
        select spans.usage_date, spans.hour_start_at, spans.node, spans.gpu_id, spans.span_start_at, spans.span_end_at, spans.unit,
            hourly.activity_time, hourly.covered, hourly.sample_count
        from spans
        inner join hourly on spans.unit = hourly.unit and spans.hour = hourly.hour
        where spans.spans_of_hour = 1
        union all
        select cut_hours.usage_date, cut_hours.hour_start_at, cut_hours.node, cut_hours.gpu_id, cut_hours.span_start_at, cut_hours.span_end_at,
            cut_hours.unit,
            near.activity * greatest(least(near.until_us, cut_hours.end_us) - greatest(near.us, cut_hours.start_us), 0),
            greatest(least(near.until_us, cut_hours.end_us) - greatest(near.us, cut_hours.start_us), 0), 1
        from cut_hours
        inner join near
            on cut_hours.unit = near.unit and cut_hours.hour = near.hour and near.us < cut_hours.end_us and near.until_us > cut_hours.start_us
    )

    select
        measured.usage_date, measured.hour_start_at, measured.node, measured.gpu_id, measured.span_start_at, measured.span_end_at,
        {%- for column in own %} units.{{ column }},{% endfor %}
        (sum(measured.activity_time) // 1000000)::bigint as busy_microseconds,
        sum(measured.covered)::bigint as covered_microseconds,
        sum(measured.sample_count)::bigint as sample_count,
        '{{ evidence }}' as evidence
    from measured
    {%- if own %}
    inner join (select distinct unit, {{ own | join(', ') }} from units) as units on measured.unit = units.unit
    {%- endif %}
    group by measured.usage_date, measured.hour_start_at, measured.node, measured.gpu_id, measured.span_start_at, measured.span_end_at
        {%- for column in own %}, units.{{ column }}{% endfor %}
{%- endmacro %}
