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
