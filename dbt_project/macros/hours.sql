{# The sum of fractional hours or ratios, the same whatever the order of the rows: floats are added as decimals. #}
{% macro sum_hours(hours) -%} sum(({{ hours }})::decimal(38, 12))::double {%- endmacro %}
