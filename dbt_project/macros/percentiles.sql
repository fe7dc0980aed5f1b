{# A positive number kept to three digits, so that few values stand for many: within 0.5 % of itself. #}
{% macro three_digits(number) -%}
    case when {{ number }} > 0 then round(({{ number }})::double, 2 - floor(log10({{ number }}))::integer) else ({{ number }})::double end
{%- endmacro %}

{#
  Percentiles of values that are counted: one row per group with p50, p95 and how many values there are, interpolated between neighbours
  as quantile_cont does. `from` has one row per value of a group, or several.
#}
{% macro percentiles_of_counts(from, by, value, count, percentiles=[50, 95]) -%}
    {%- set group = by | join(', ') -%}
    select
        {{ group }},
        max(counted_total)::bigint as counted_total
        {%- for percentile in percentiles %}
        {%- set place = '(counted_total - 1) * ' ~ percentile ~ ' / 100.0' %},
        max(counted_value) filter (where counted_before <= floor({{ place }}))
            + max({{ place }} - floor({{ place }})) * (
                max(counted_value) filter (where counted_before <= ceil({{ place }}))
                - max(counted_value) filter (where counted_before <= floor({{ place }}))
            ) as p{{ percentile }}
        {%- endfor %}
    from (
        select
            {{ group }}, counted_value,
            sum(counted_rows) over (partition by {{ group }}) as counted_total,
            sum(counted_rows) over (partition by {{ group }} order by counted_value) - counted_rows as counted_before
        from (
            select {{ group }}, {{ value }} as counted_value, sum({{ count }}) as counted_rows
            from {{ from }}
            where {{ value }} is not null
            group by {{ group }}, {{ value }}
        )
    )
    group by {{ group }}
{%- endmacro %}
