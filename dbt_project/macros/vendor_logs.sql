{# True where a source of requests is no vendor's own log: sources that say nothing of it, or are not listed any more, are own. #}
{% macro is_own_log(source_name) -%}
    {{ source_name }} not in (
        select sources.source_name from {{ source('config', 'sources') }} as sources where sources.is_vendor_log
    )
{%- endmacro %}
