{# A 64-bit hash of some columns together: only to find what may be equal, never to say that it is. #}
{% macro hash_of(columns) %}{{ return(adapter.dispatch('hash_of')(columns)) }}{% endmacro %}
{% macro default__hash_of(columns) -%} hash({{ columns | join(', ') }}) {%- endmacro %}
{% macro spark__hash_of(columns) -%} xxhash64({{ columns | join(', ') }}) {%- endmacro %}
