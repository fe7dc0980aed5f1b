{# An amount in another currency by a dated rate: 12 digits of the amount, 10 of the rate, exact in decimals. #}
{% macro convert_money(amount, rate) -%}
    case
        when {{ rate }} = 1 then {{ amount }}
        else ({{ amount }}::decimal(22, 12) * {{ rate }}::decimal(16, 10))::decimal(38, 20)
    end
{%- endmacro %}

{# True where a dated rule is in force on a day: [valid_from, valid_to), empty means open. #}
{% macro in_force(rule, day) -%}
    coalesce({{ rule }}.valid_from, date '0001-01-01') <= {{ day }} and {{ day }} < coalesce({{ rule }}.valid_to, date '9999-12-31')
{%- endmacro %}

{# Unit price times quantity, exact in decimals (12 digits of the price, 8 of the quantity); NULL where either is missing or huge. #}
{% macro price_times_quantity(price, quantity) -%}
    (try_cast({{ price }} as decimal(20, 12)) * try_cast({{ quantity }} as decimal(18, 8)))::decimal(38, 20)
{%- endmacro %}
