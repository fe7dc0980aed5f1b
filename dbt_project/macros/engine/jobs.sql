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

{#
  (usage_date, trace_id, span_id, job_id): every span at or below one of `spans` that names a job, with the nearest such job above it.
  A span that names another job begins anew; a circle of parents ends by itself.
#}
{% macro jobs_of_spans(spans) %}{{ return(adapter.dispatch('jobs_of_spans')(spans)) }}{% endmacro %}
{% macro default__jobs_of_spans(spans) -%}
    with recursive reached as (
        select usage_date, trace_id, span_id, job_id from {{ spans }} where job_id is not null
        union
        select children.usage_date, children.trace_id, children.span_id, reached.job_id
        from reached
        inner join {{ spans }} as children
            on reached.usage_date = children.usage_date and reached.trace_id = children.trace_id and children.parent_span_id = reached.span_id
        where children.job_id is null
    )

    select usage_date, trace_id, span_id, job_id from reached
{%- endmacro %}
