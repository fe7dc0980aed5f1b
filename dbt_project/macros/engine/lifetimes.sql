{# A moment some whole months later; the last day of a shorter month where the day does not exist. #}
{% macro add_months(moment, months) %}{{ return(adapter.dispatch('add_months')(moment, months)) }}{% endmacro %}
{% macro default__add_months(moment, months) -%} ({{ moment }} + to_months({{ months }})) {%- endmacro %}

{# The length of [start, end) in millionths of a month: whole months count alike, the rest by its share of the month it lies in. #}
{% macro life_length(start, end) %}{{ return(adapter.dispatch('life_length')(start, end)) }}{% endmacro %}
{% macro default__life_length(start, end) -%}
    {%- set months = "datesub('month', " ~ start ~ ", " ~ end ~ ")" -%}
    {%- set reached = add_months(start, months) -%}
    (
        {{ months }}::hugeint * 1000000
        + (epoch_us({{ end }}) - epoch_us({{ reached }}))::hugeint * 1000000
        // (epoch_us({{ add_months(start, '(' ~ months ~ ' + 1)') }}) - epoch_us({{ reached }}))
    )
{%- endmacro %}

{# A JSON object text of the given name -> expression pairs; fields that are NULL are left out. #}
{% macro json_text(fields) %}{{ return(adapter.dispatch('json_text')(fields)) }}{% endmacro %}
{% macro default__json_text(fields) -%}
    json_merge_patch('{}'::json, json_object({% for name, value in fields.items() %}'{{ name }}', {{ value }}{{ ', ' if not loop.last }}{% endfor %}))::varchar
{%- endmacro %}
