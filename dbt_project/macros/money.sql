{#
  A product of two decimals, each taken with 18 and 20 digits after the point, to 20: decimals of the engine have 38 digits in all, so
  the whole part, twelve digits and the rest of `left` are multiplied apart. Exact for a `left` below 10^14 and a `right` below 10^6;
  beyond that the engine's own error.
#}
{% macro product(left, right) -%}
    {%- set whole = '(' ~ left ~ ')::decimal(14, 0)' -%}
    {%- set part = '((' ~ left ~ ') - ' ~ whole ~ ')::decimal(13, 12)' -%}
    {%- set rest = '((' ~ left ~ ') - ' ~ whole ~ ' - ' ~ part ~ ')::decimal(20, 20)' -%}
    (
        ({{ whole }} * ({{ right }})::decimal(24, 18))::decimal(38, 20) + ({{ part }} * ({{ right }})::decimal(24, 18))::decimal(38, 20)
        + ({{ rest }} * ({{ right }})::decimal(18, 12))::decimal(38, 20)
    )::decimal(38, 20)
{%- endmacro %}

{# An amount in another currency by a dated rate, to the 20th digit. #}
{% macro convert_money(amount, rate) -%}
    case when {{ rate }} = 1 then {{ amount }} else {{ product(amount, rate) }} end
{%- endmacro %}

{# True where a dated rule is in force on a day: [valid_from, valid_to), empty means open. #}
{% macro in_force(rule, day) -%}
    coalesce({{ rule }}.valid_from, date '0001-01-01') <= {{ day }} and {{ day }} < coalesce({{ rule }}.valid_to, date '9999-12-31')
{%- endmacro %}

{# Unit price times quantity, exact; NULL where either is missing or beyond what a bill can mean. #}
{% macro price_times_quantity(price, quantity) -%}
    {{ product('try_cast(' ~ quantity ~ ' as decimal(34, 20))', 'try_cast(' ~ price ~ ' as decimal(24, 18))') }}
{%- endmacro %}

{# A word that the specification spells in one way, however it was written; any other text stays as it is. #}
{% macro known_word(column, words) -%}
    case lower(trim({{ column }}))
        {%- for word, meant in words.items() %} when '{{ word | lower }}' then '{{ meant }}'{% endfor %}
        else {{ column }}
    end
{%- endmacro %}
