{# Google's day: midnight to midnight Pacific time, of a UTC timestamp. #}
{% macro pacific_day(moment) %}{{ return(adapter.dispatch('pacific_day')(moment)) }}{% endmacro %}
{% macro default__pacific_day(moment) -%}
    ({{ moment }} at time zone 'UTC' at time zone 'America/Los_Angeles')::date
{%- endmacro %}

{# The items of a list written with commas, or as a JSON list: one row each, trimmed. #}
{% macro listed_items(text) %}{{ return(adapter.dispatch('listed_items')(text)) }}{% endmacro %}
{% macro default__listed_items(text) -%}
    unnest(list_transform(string_split(regexp_replace({{ text }}, '[\[\]"]', '', 'g'), ','), lambda item: trim(item)))
{%- endmacro %}
