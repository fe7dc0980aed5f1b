{#
  Which days a run computes: `meta.build_days`, filled before the build with the days that loads touched (with every day
  when a rule or a model changed). Rule: incremental equals rebuild.
#}
{% macro in_build_days(day) -%}
    {{ day }} in (select build_days.usage_date from {{ source('meta', 'build_days') }} as build_days)
{%- endmacro %}

{# For what spans days: a cheap bound, true for all that overlaps a build day. #}
{% macro may_overlap_build_days(start, end) -%}
    {{ start }} < (select max(build_days.usage_date) + interval 1 day from {{ source('meta', 'build_days') }} as build_days)
    and {{ end }} >= (select min(build_days.usage_date) from {{ source('meta', 'build_days') }} as build_days)
{%- endmacro %}
