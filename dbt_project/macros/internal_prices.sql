{# A price of config/internal_prices.csv as a whole number of millionths: the file has at most 6 decimals. #}
{% macro price_millionths(price) -%} ({{ price }} * 1000000)::decimal(38, 0) {%- endmacro %}

{# Whole numbers: dividend ÷ divisor to the nearest one, halves away from 0. #}
{% macro rounded_division(dividend, divisor) -%}
    (case when {{ dividend }} < 0 then -1 else 1 end
        * {{ whole_division(to_whole('2 * abs(' ~ dividend ~ ') + ' ~ divisor), to_whole('2 * ' ~ divisor)) }})
{%- endmacro %}

{# The condition that two relations are of the same columns, NULL being one of their values. #}
{% macro same_of(columns, left, right) -%}
    {% for name in columns %}{{ left }}.{{ name }} is not distinct from {{ right }}.{{ name }}{{ ' and ' if not loop.last }}{% endfor %}
{%- endmacro %}
