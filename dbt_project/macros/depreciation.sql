{#
  What an asset loses in one year of its life by the declining-balance method, in whole units of 10^-12: the rate times the
  book value at the start of the year (a last year of fewer months takes its share of months), or what is left to lose
  spread evenly over the rest of the life where that is more: from then on the straight line is kept, as it stays the larger.
  Never below the residual value, and the last year takes all that is left. (The method is the one that IRS Publication 946
  and the spreadsheet function VDB describe: one rate on the adjusted basis of each year, switched to the straight line.)
#}
{% macro declining_units(opening, residual, rate, year_from, year_until, life_until) -%}
    least(
        {{ opening }} - {{ residual }},
        greatest(
            {{ whole_division(
                whole_division(opening ~ ' * ' ~ to_whole(rate ~ ' * 10000000000'), '10000000000::hugeint')
                ~ ' * ' ~ life_length(year_from, year_until), '12000000::hugeint') }},
            {{ whole_division('(' ~ opening ~ ' - ' ~ residual ~ ') * ' ~ life_length(year_from, year_until),
                life_length(year_from, life_until)) }}
        )
    )
{%- endmacro %}

{#
  The product of two amounts, rounded half up (away from zero) at the 12th digit: a decimal product of this width would
  overflow. Both are below 10^13, and so is their product; beyond that the engine says so.
#}
{% macro multiply_exact(left, right) -%}
    {%- set units = to_units('abs((' ~ left ~ ')::decimal(38, 12))') -%}
    {%- set other = to_units('abs((' ~ right ~ ')::decimal(38, 12))') -%}
    {%- set one = '1000000000000::hugeint' -%}
    {{ from_units(
        '(sign(' ~ left ~ ') * sign(' ~ right ~ '))::hugeint * ('
        ~ units ~ ' * (' ~ whole_division(other, one) ~ ') + '
        ~ whole_division(units ~ ' * (' ~ remainder(other, one) ~ ') + 500000000000', one) ~ ')'
    ) }}
{%- endmacro %}
