{#
  True where a charge is what `cost` of config/job_costs.csv names: all items of a list with semicolons hold, each a word (service, provider,
  component, resource, team) and a name in which * stands for anything. Letter case does not count.
#}
{% macro names_charge(cost, charge) %}{{ return(adapter.dispatch('names_charge')(cost, charge)) }}{% endmacro %}
{% macro default__names_charge(cost, charge) -%}
    coalesce(list_bool_and(list_transform(
        list_filter(string_split(lower({{ cost }}), ';'), lambda item: trim(item) <> ''),
        lambda item: coalesce(lower(case trim(split_part(item, ':', 1))
            when 'service' then {{ charge }}.service_name when 'provider' then {{ charge }}.billed_by
            when 'component' then {{ charge }}.component when 'resource' then {{ charge }}.resource_id when 'team' then {{ charge }}.team
        end) glob trim(substr(item, strpos(item, ':') + 1)), false)
    )), false)
{%- endmacro %}
