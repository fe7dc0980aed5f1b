{#
  Prices are counted in whole units of 10^-18 of the currency per single token, request or hour, so that arithmetic with them
  is exact: a price per million keeps 12 digits.
#}
{% macro unit_price(price, per_quantity) -%}
    {%- set units = "replace((" ~ price ~ ")::decimal(38, 18)::varchar, '.', '')::hugeint * 1000000" -%}
    {%- set quantity = "(" ~ per_quantity ~ " * 1000000)::hugeint" -%}
    {{ whole_division(units ~ ' + ' ~ whole_division(quantity, 2), quantity) }}
{%- endmacro %}

{# A unit price in the reporting currency, by a rate of 10 digits; NULL without a rate. #}
{% macro convert_unit_price(price, rate) -%}
    case
        when {{ rate }} = 1 then {{ price }}
        else {{ whole_division('(' ~ price ~ ') * ((' ~ rate ~ ')::decimal(16, 10) * 10000000000)::hugeint + 5000000000', '10000000000') }}
    end
{%- endmacro %}

{# What a quantity of whole parts costs, in units of 10^-12 and rounded once; `parts` of them are one unit of the price. #}
{% macro cost_units(price_times_quantity, parts=1) -%}
    {{ whole_division('(' ~ price_times_quantity ~ ') + ' ~ (500000 * parts), 1000000 * parts) }}
{%- endmacro %}

{# The same of what may be below zero, as what a cache saved. #}
{% macro signed_cost_units(amount) -%}
    case when {{ amount }} < 0 then -({{ cost_units('-(' ~ amount ~ ')') }}) else {{ cost_units(amount) }} end
{%- endmacro %}

{# True where a price holds at a moment: in its dates and in its hours of the day, which may reach over midnight. #}
{% macro price_holds(price, moment) -%}
    {%- set of_day = '(' ~ microseconds_of_day(moment) ~ ')' -%}
    coalesce({{ price }}.valid_from <= {{ moment }}, true) and coalesce({{ moment }} < {{ price }}.valid_to, true)
    and case
        when {{ price }}.day_from is null then true
        when {{ price }}.day_from < {{ price }}.day_to then {{ of_day }} >= {{ price }}.day_from and {{ of_day }} < {{ price }}.day_to
        else {{ of_day }} >= {{ price }}.day_from or {{ of_day }} < {{ price }}.day_to
    end
{%- endmacro %}

{#
  Which of the prices that hold is taken: of the first book by config/price_books.csv (`config` before all unless listed,
  unlisted books last, by name), the one said most closely: by name, region, quantity, hours of the day, newest start. What
  `in_book` says goes before all of these but the book.
#}
{% macro price_order(price, books, closeness, in_book='') -%}
    {{ book_rank(price, books) }}, {{ price }}.book, {{ in_book }}
    {{ closeness }} desc, {{ price }}.region is null, {{ price }}.quantity_from desc, {{ price }}.day_from is null,
    {{ price }}.valid_from desc nulls last, {{ price }}.price_row
{%- endmacro %}

{% macro book_rank(price, books) -%}
    coalesce({{ books }}.priority, case when {{ price }}.book = 'config' then -2147483648 else 2147483647 end)
{%- endmacro %}

{# A price times a share, both in units of 10^-18; the share counts with 10 digits. #}
{% macro share_of_price(price, share) -%}
    {{ whole_division(price ~ ' * ' ~ whole_division(share, '100000000') ~ ' + 5000000000', '10000000000') }}
{%- endmacro %}

{# A service tier as it is priced: the standard one is NULL, whatever it is called. #}
{% macro service_tier(tier) -%}
    case when lower(trim({{ tier }})) not in ('', 'standard', 'default', 'auto', 'on_demand', 'on-demand') then lower(trim({{ tier }})) end
{%- endmacro %}

{# Microseconds since midnight of a text HH:MM or HH:MM:SS in UTC, 24:00 included; NULL where it is none. #}
{% macro clock(text) -%}
    case
        when regexp_matches({{ text }}, '^([01]?[0-9]|2[0-4]):[0-5][0-9](:[0-5][0-9])?Z?$')
            then (split_part({{ text }}, ':', 1)::bigint * 3600 + replace(split_part({{ text }}, ':', 2), 'Z', '')::bigint * 60
                + coalesce(nullif(replace(split_part({{ text }}, ':', 3), 'Z', ''), '')::bigint, 0)) * 1000000
    end
{%- endmacro %}

{# The service tier by which a node is priced: NULL for on-demand and own ones, as for a standard price. #}
{% macro node_tier(purchase_option) -%}
    case regexp_replace(lower(trim({{ purchase_option }})), '[^a-z]', '', 'g')
        when 'ondemand' then null when 'standard' then null when 'own' then null when 'owned' then null when 'default' then null
        when '' then null
        when 'preemptible' then 'spot' when 'lowpriority' then 'spot'
        when 'reservation' then 'reserved' when 'committed' then 'reserved'
        else lower(trim({{ purchase_option }}))
    end
{%- endmacro %}
