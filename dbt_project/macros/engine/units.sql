{# Whole units of 10^-12 and back, and whole-number division: decimal division is floating point in DuckDB. #}
{% macro to_units(amount) %}{{ return(adapter.dispatch('to_units')(amount)) }}{% endmacro %}
{% macro default__to_units(amount) -%} ({{ amount }} * 1000000000000)::hugeint {%- endmacro %}

{% macro from_units(units) %}{{ return(adapter.dispatch('from_units')(units)) }}{% endmacro %}
{% macro default__from_units(units) -%}
    (({{ units }})::decimal(25, 0) * 0.000000000001::decimal(13, 12))::decimal(38, 12)
{%- endmacro %}

{% macro to_whole(number) %}{{ return(adapter.dispatch('to_whole')(number)) }}{% endmacro %}
{% macro default__to_whole(number) -%} ({{ number }})::hugeint {%- endmacro %}

{% macro whole_division(dividend, divisor) %}{{ return(adapter.dispatch('whole_division')(dividend, divisor)) }}{% endmacro %}
{% macro default__whole_division(dividend, divisor) -%} ({{ dividend }}) // ({{ divisor }}) {%- endmacro %}

{% macro remainder(dividend, divisor) %}{{ return(adapter.dispatch('remainder')(dividend, divisor)) }}{% endmacro %}
{% macro default__remainder(dividend, divisor) -%} ({{ dividend }}) % ({{ divisor }}) {%- endmacro %}
