{# Rows for each hour or day that the half-open interval [start, end) touches; none where end <= start. #}
{% macro slots(start, end, unit) %}{{ return(adapter.dispatch('slots')(start, end, unit)) }}{% endmacro %}
{% macro default__slots(start, end, unit) -%}
    unnest(generate_series(
        date_trunc('{{ unit }}', {{ start }}), {{ end }} - interval 1 microsecond, interval 1 {{ unit }}
    ))
{%- endmacro %}

{# Microseconds of [start, end) inside the slot that begins at slot_start. #}
{% macro overlap_microseconds(start, end, slot_start, unit) %}
    {{- return(adapter.dispatch('overlap_microseconds')(start, end, slot_start, unit)) -}}
{% endmacro %}
{% macro default__overlap_microseconds(start, end, slot_start, unit) -%}
    greatest(
        epoch_us(least({{ end }}, {{ slot_start }} + interval 1 {{ unit }})) - epoch_us(greatest({{ start }}, {{ slot_start }})), 0
    )
{%- endmacro %}

{# Microseconds from one moment to another. #}
{% macro microseconds_between(start, end) %}{{ return(adapter.dispatch('microseconds_between')(start, end)) }}{% endmacro %}
{% macro default__microseconds_between(start, end) -%} (epoch_us({{ end }}) - epoch_us({{ start }})) {%- endmacro %}
