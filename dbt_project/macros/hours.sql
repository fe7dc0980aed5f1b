{# The sum of fractional hours or ratios, the same whatever the order of the rows: floats are added as decimals. #}
{% macro sum_hours(hours) -%} sum(({{ hours }})::decimal(38, 12))::double {%- endmacro %}

{#
  Aggregate input: the microseconds of [start, end) that no earlier row of its group covered already, so that their sum is the length of
  the union of all intervals. `group` are the columns of a group.
#}
{% macro newly_covered(start, end, group) -%}
    greatest(
        epoch_us({{ end }}) - epoch_us(greatest({{ start }}, coalesce(
            max({{ end }}) over (
                partition by {{ group | join(', ') }} order by {{ start }}, {{ end }} rows between unbounded preceding and 1 preceding
            ),
            {{ start }}
        ))),
        0
    )
{%- endmacro %}

{# True where a moment is the start of an hour. #}
{% macro on_the_hour(moment) -%} {{ moment }} = date_trunc('hour', {{ moment }}) {%- endmacro %}

{#
  (resource_id, cut_at): moments inside an hour at which a row of the capacity list begins or ends, in hours in which the list says
  more than one thing of what the node is (SKU, GPU model, region) or how it was bought.
#}
{% macro changes_of_capacity(capacity) -%}
    select bounds.resource_id, bounds.cut_at
    from (
        select resource_id, started_at as cut_at from {{ capacity }} where not {{ on_the_hour('started_at') }}
        union
        select resource_id, ended_at from {{ capacity }} where not {{ on_the_hour('ended_at') }}
    ) as bounds
    inner join {{ capacity }} as rows_of_hour
        on bounds.resource_id = rows_of_hour.resource_id
        and rows_of_hour.started_at < date_trunc('hour', bounds.cut_at) + interval 1 hour
        and date_trunc('hour', bounds.cut_at) < rows_of_hour.ended_at
    group by bounds.resource_id, bounds.cut_at
    having
        {%- for column in ['sku', 'gpu_model', 'region', 'purchase_option'] %}
        {{ 'or ' if not loop.first }}count(distinct lower(trim(rows_of_hour.{{ column }}))) > 1
        {%- endfor %}
{%- endmacro %}
