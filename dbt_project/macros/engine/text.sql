{# Whether a text matches a pattern in which * stands for anything; letter case counts. #}
{% macro matches_glob(value, pattern) %}{{ return(adapter.dispatch('matches_glob')(value, pattern)) }}{% endmacro %}
{% macro default__matches_glob(value, pattern) -%} {{ value }} glob {{ pattern }} {%- endmacro %}
