{#
  The one way to split money: `amount` of each group over its rows by `weight`, to the last digit.

  Method: largest remainder in whole units of 10^-12. Each row gets floor(units x weight / sum of weights); what is left,
  fewer units than rows, goes one each to the largest remainders, ties by `tie_break`. So the parts add up to the amount
  exactly, and no part is further than one unit from its ideal share. Negative amounts split like positive ones.

  from       relation or CTE: one row per receiver
  by         columns of a group; `amount` is the same on all its rows
  weight     a whole number >= 0; if all are zero the rows share alike
  tie_break  columns that order the rows of a group without doubt, so that the order of arrival never matters
  keep       columns to hand on; the result adds `into`
  Overflow (units x weight beyond 38 digits) is an error of the engine, never a wrong figure.
#}
{% macro split_exact(from, by, amount, weight, tie_break, keep, into='allocated_cost') -%}
    {%- set group = by | join(', ') -%}
    select
        {{ keep | join(',\n        ') }},
        {{ from_units('sign_of_amount * (base_units + case when remainder_rank <= whole_units - base_total then 1 else 0 end)') }}
            as {{ into }}
    from (
        select
            *,
            sum(base_units) over (partition by {{ group }}) as base_total,
            row_number() over (
                partition by {{ group }} order by remainder_units desc, {{ tie_break | join(', ') }}
            ) as remainder_rank
        from (
            select
                *,
                {{ whole_division('whole_units * split_weight', 'weight_total') }} as base_units,
                {{ remainder('whole_units * split_weight', 'weight_total') }} as remainder_units
            from (
                select
                    *,
                    sum(split_weight) over (partition by {{ group }}) as weight_total
                from (
                    select
                        *,
                        case when amount_of_group < 0 then -1 else 1 end as sign_of_amount,
                        {{ to_units('abs(amount_of_group)') }} as whole_units,
                        case
                            when sum(weight_of_row) over (partition by {{ group }}) = 0 then 1 else weight_of_row
                        end as split_weight
                    from (
                        select *, {{ amount }} as amount_of_group, {{ to_whole(weight) }} as weight_of_row
                        from {{ from }}
                    )
                )
            )
        )
    )
{%- endmacro %}
