{#
  What several names of one model have in common: lower case, without the path, maker or region before it (openai/gpt-4o,
  us.anthropic.claude-…) and without the version after it (-2025-04-14, -20250414, @20250414, -latest, -v1:0, -0613).
#}
{% macro model_family(name) -%}
    regexp_replace(
        regexp_replace(
            regexp_replace(
                regexp_replace(lower(trim({{ name }})), '^.*/', ''),
                '^((us|eu|ap|apac|global)[.])?(anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai)[.]', ''
            ),
            '(-v[0-9]+)?(:[0-9]+)?$', ''
        ),
        '[-@](20[0-9]{2}-?[01][0-9]-?[0-3][0-9]|(0[1-9]|1[0-2])([0-2][0-9]|3[01])|latest)$', ''
    )
{%- endmacro %}

{# The alias of config/model_aliases.csv in force for a name: of its provider before of any. Columns are given with their relation: inside, a bare `provider` would be
   the alias's own. #}
{% macro alias_of(provider, name, day) -%}
    (
        select min_by(aliases.model, case when trim(aliases.provider) <> '' then 0 else 1 end)
        from {{ source('config', 'model_aliases') }} as aliases
        where lower(trim(aliases.alias)) = lower(trim({{ name }}))
            and coalesce(nullif(lower(trim(aliases.provider)), ''), lower(trim({{ provider }}))) = lower(trim({{ provider }}))
            and {{ in_force('aliases', day) }}
    )
{%- endmacro %}

{# The different values of a group in order, with commas between them. #}
{% macro distinct_in_order(text) -%} string_agg(distinct {{ text }}, ',' order by {{ text }}) {%- endmacro %}
