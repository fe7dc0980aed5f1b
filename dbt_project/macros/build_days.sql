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

{# Incremental strategy `days`: the build's days go, the new rows come, in one transaction. A day left empty stays empty. #}
{% macro get_incremental_days_sql(arg_dict) %}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set day = config.get('day_column', 'usage_date') -%}
    delete from {{ arg_dict['target_relation'] }}
    where {{ day }} in (select build_days.usage_date from {{ source('meta', 'build_days') }} as build_days);

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }};
{% endmacro %}
