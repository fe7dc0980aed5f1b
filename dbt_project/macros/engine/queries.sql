{# True where a query finds a row, asked while the model that needs to know is compiled. #}
{% macro finds_rows(query) %}{{ return(adapter.dispatch('finds_rows')(query)) }}{% endmacro %}
{% macro default__finds_rows(query) %}{{ return(not execute or run_query(query).rows | length > 0) }}{% endmacro %}
