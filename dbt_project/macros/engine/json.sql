{# One text field of a JSON object; NULL where the text is no JSON. #}
{% macro json_field(json, field) %}{{ return(adapter.dispatch('json_field')(json, field)) }}{% endmacro %}
{% macro default__json_field(json, field) -%}
    json_extract_string(try_cast({{ json }} as json), '$.{{ field }}')
{%- endmacro %}

{# The entries of a JSON object as structs (key, value), one row each; no rows where the text is no object. #}
{% macro json_entries(json) %}{{ return(adapter.dispatch('json_entries')(json)) }}{% endmacro %}
{% macro default__json_entries(json) -%}
    unnest(map_entries(try_cast(try_cast({{ json }} as json) as map(varchar, varchar))))
{%- endmacro %}

{# Aggregate: one JSON object text of a group's keys and values, in the order of the keys. #}
{% macro json_object_of(key, value) %}{{ return(adapter.dispatch('json_object_of')(key, value)) }}{% endmacro %}
{% macro default__json_object_of(key, value) -%}
    '{' || string_agg(to_json({{ key }})::varchar || ':' || to_json({{ value }})::varchar, ',' order by {{ key }}) || '}'
{%- endmacro %}

{# The items of a list inside a JSON object, one row each; no rows where there is none. #}
{% macro json_items(json, field) %}{{ return(adapter.dispatch('json_items')(json, field)) }}{% endmacro %}
{% macro default__json_items(json, field) -%}
    unnest(try_cast(json_extract(try_cast({{ json }} as json), '$.{{ field }}') as json[]))
{%- endmacro %}
