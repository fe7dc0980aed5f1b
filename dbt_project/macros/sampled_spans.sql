{# What the steps say: one row per span (and instance or holder) that samples cover, with busy and covered microseconds. #}
{% macro sampled_spans(kind) -%}
    {%- set own = sample_own(kind) -%}
    with by_hour as (
        select
            unit, us // 3600000000 as hour,
            activity * (least(until_us, (us // 3600000000 + 1) * 3600000000) - us) as activity_time,
            least(until_us, (us // 3600000000 + 1) * 3600000000) - us as covered, 1 as samples
        from sample_standing_{{ kind }}
        union all
        select
            unit, hour, activity * (least(until_us, (hour + 1) * 3600000000) - hour * 3600000000),
            least(until_us, (hour + 1) * 3600000000) - hour * 3600000000, 0
        from sample_spills_{{ kind }}
    ),

    hourly as (
        select unit, hour, sum(activity_time) as activity_time, sum(covered) as covered, sum(samples) as samples
        from by_hour
        group by unit, hour
    ),

    -- samples of hours with several spans, by the hours that they stand in
    near as (
        select unit, us // 3600000000 as hour, us, until_us, activity from sample_standing_{{ kind }}
        union all
        select unit, hour, us, until_us, activity from sample_spills_{{ kind }}
    ),

    measured as (
        select spans.span_number, hourly.activity_time, hourly.covered, hourly.samples
        from sample_spans_{{ kind }} as spans
        inner join hourly on spans.unit = hourly.unit and spans.hour = hourly.hour
        where spans.is_whole
        union all
        select
            spans.span_number,
            sum(near.activity * greatest(least(near.until_us, spans.end_us) - greatest(near.us, spans.start_us), 0)) as activity_time,
            sum(greatest(least(near.until_us, spans.end_us) - greatest(near.us, spans.start_us), 0)) as covered,
            count(*) as samples
        from near
        inner join (select * from sample_spans_{{ kind }} where not is_whole) as spans
            on near.unit = spans.unit and near.hour = spans.hour and near.us < spans.end_us and near.until_us > spans.start_us
        group by spans.span_number
    )

    select
        spans.usage_date, spans.hour_start_at, spans.node, spans.gpu_id, spans.span_start_at, spans.span_end_at,
        {%- for column in own %} units.{{ column }},{% endfor %}
        (sum(measured.activity_time) // 1000000)::bigint as busy_microseconds,
        sum(measured.covered)::bigint as covered_microseconds,
        sum(measured.samples)::bigint as sample_count,
        '{{ kind }}' as evidence
    from sample_spans_{{ kind }} as spans
    inner join measured on spans.span_number = measured.span_number
    {%- if own %}
    inner join (select distinct unit, {{ own | join(', ') }} from sample_units_{{ kind }}) as units on spans.unit = units.unit
    {%- endif %}
    group by spans.usage_date, spans.hour_start_at, spans.node, spans.gpu_id, spans.span_start_at, spans.span_end_at
        {%- for column in own %}, units.{{ column }}{% endfor %}
{%- endmacro %}
