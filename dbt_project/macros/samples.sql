{#
  How busy each span of `int_gpu_spans` was, in steps, so that the engine knows how much each one holds: temporary tables of the samples' units
  and of how long each sample stands, made before the model (`sample_steps`), and the model's SELECT (`sampled_spans`).

  A train of samples is that of a GPU and, by kind, nothing more (device), an instance_id (instance) or a holding_id (process).
  A sample stands until the next of its train, at most as long as int_sample_intervals says. Of samples of one moment the largest stands, the
  others have no length. Time is cut at hours and, where a GPU's hour has several spans, at theirs; whole numbers make every sum exact.
#}
{% macro sample_own(kind) %}{{ return({'device': [], 'instance': ['instance_id'], 'process': ['holding_id']}[kind]) }}{% endmacro %}

{# The build's days and the day before each, whose last samples stand on past midnight: one list, so that the engine looks once per row. #}
{% macro sampled_days(samples) -%}
    {{ samples }}.usage_date in (
        select build_days.usage_date from {{ source('meta', 'build_days') }} as build_days
        union
        select build_days.usage_date - 1 from {{ source('meta', 'build_days') }} as build_days
    )
{%- endmacro %}

{# The samples of those days: time in microseconds, activity in millionths. Processes of one holder add up at each moment, to the whole GPU at most. #}
{% macro sample_moments(kind) -%}
    {%- if kind == 'process' -%}
    select source_name, usage_date, node, gpu_id, holding_id, us, least(sum(activity), 1000000)::integer as activity
    from (
        select
            samples.source_name, samples.usage_date, samples.node, samples.gpu_id, samples.holding_id, samples.process,
            {{ epoch_microseconds('samples.sampled_at') }} as us, max({{ millionths('samples.process_sm_ratio') }}) as activity
        from {{ ref('stg_telemetry__gpu_samples') }} as samples
        where {{ sampled_days('samples') }} and samples.process_sm_ratio is not null and samples.holding_id is not null
        group by all
    )
    group by all
    {%- else -%}
    select
        samples.source_name, samples.usage_date, samples.node, samples.gpu_id {%- for column in sample_own(kind) %}, samples.{{ column }}{% endfor %},
        {{ epoch_microseconds('samples.sampled_at') }} as us, {{ millionths('samples.activity_ratio') }} as activity
    from {{ ref('stg_telemetry__gpu_samples') }} as samples
    where {{ sampled_days('samples') }} and samples.activity_ratio is not null
        and samples.instance_id is {{ 'null' if kind == 'device' else 'not null' }}
    {%- endif -%}
{%- endmacro %}

{# The temporary tables, by name: sample_units_<kind> (what a sample calls its unit, and the unit's number) and sample_standing_<kind>. #}
{% macro sample_units(kind) -%}
    {%- set own = sample_own(kind) -%}
    create or replace temporary table sample_units_{{ kind }} as
    with homes as (
        select usage_date, gpu_id, min(node) as home
        from {{ ref('int_gpu_spans') }} as spans
        where gpu_id is not null and {{ sampled_days('spans') }}
        group by usage_date, gpu_id
        having count(distinct node) = 1
    ),

    named as (
        select distinct source_name, usage_date, node as said_node, gpu_id {%- for column in own %}, {{ column }}{% endfor %}
        from ({{ sample_moments(kind) }})
    )

    select
        named.*, coalesce(named.said_node, homes.home) as node, intervals.gap_microseconds,
        dense_rank() over (order by coalesce(named.said_node, homes.home), named.gpu_id {%- for column in own %}, named.{{ column }}{% endfor %})::integer
            as unit
    from named
    inner join {{ ref('int_sample_intervals') }} as intervals
        on named.source_name = intervals.source_name and named.usage_date = intervals.usage_date
    left join homes on named.said_node is null and named.gpu_id = homes.gpu_id and named.usage_date = homes.usage_date
    where coalesce(named.said_node, homes.home) is not null
{%- endmacro %}

{% macro sample_standing(kind) -%}
    create or replace temporary table sample_standing_{{ kind }} as
    select unit, us, activity, least(coalesce(lead(us) over (partition by unit order by us, activity), reach_us), reach_us) as until_us
    from (
        select units.unit, moments.us, moments.activity, moments.us + units.gap_microseconds as reach_us
        from ({{ sample_moments(kind) }}) as moments
        inner join sample_units_{{ kind }} as units
            on moments.gpu_id = units.gpu_id and moments.node is not distinct from units.said_node
            and moments.usage_date = units.usage_date and moments.source_name = units.source_name
            {%- for column in sample_own(kind) %} and moments.{{ column }} = units.{{ column }}{% endfor %}
    )
{%- endmacro %}

{# `standing` samples by the hours they stand in after their own. #}
{% macro sample_spills(kind) -%}
    create or replace temporary table sample_spills_{{ kind }} as
    select unit, activity, {{ hours_between('us', 'until_us') }} as hour, us, until_us
    from sample_standing_{{ kind }}
    where until_us > (us // 3600000000 + 1) * 3600000000
{%- endmacro %}

{# The spans by unit; of a node's span each GPU on it. `is_whole`: the only span of its hour, and all of it. #}
{% macro sample_spans(kind) -%}
    create or replace temporary table sample_spans_{{ kind }} as
    select
        *,
        row_number() over ()::integer as span_number,
        count(*) over (partition by unit, hour) = 1 and end_us - start_us = 3600000000 as is_whole
    from (
        select
            units.unit, spans.*,
            {{ epoch_microseconds('spans.span_start_at') }} as start_us,
            {{ epoch_microseconds('spans.span_end_at') }} as end_us,
            {{ epoch_microseconds('spans.hour_start_at') }} // 3600000000 as hour
        from {{ ref('int_gpu_spans') }} as spans
        inner join (select distinct unit, node, gpu_id from sample_units_{{ kind }}) as units
            on spans.node = units.node and coalesce(spans.gpu_id, units.gpu_id) = units.gpu_id
        where {{ in_build_days('spans.usage_date') }}
    )
{%- endmacro %}
