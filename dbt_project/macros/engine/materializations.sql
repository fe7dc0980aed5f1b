{#
  How DuckDB keeps a model: replaced in place in one transaction, which DuckDB's DDL takes part in. dbt-duckdb's own way builds beside
  the old relation, renames twice and drops once: five more calls for each model, most of a small night.
  Other engines keep their adapters' materializations.
#}

{# A contract's columns are made first, with their types and constraints; what the query gives then has to fit. #}
{% macro create_or_replace_table(relation, sql) %}
    {% if config.get('contract').enforced %}
        {{ get_assert_columns_equivalent(sql) }}
        create or replace table {{ relation }} {{ get_table_columns_and_constraints() }};
        insert into {{ relation }} {{ get_column_names() }} ({{ get_select_subquery(sql) }});
    {% else %}
        create or replace table {{ relation }} as ({{ sql }});
    {% endif %}
{% endmacro %}

{# `or replace` takes a table for a table and a view for a view. #}
{% macro drop_other_kind(existing, kind) %}
    {% if existing is not none and existing.type != kind %}
        {% do run_query('drop ' ~ existing.type ~ ' ' ~ existing) %}
    {% endif %}
{% endmacro %}

{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if model['language'] == 'python' %}
        {% do drop_other_kind(existing, none) %}
        {% call statement('main', language='python') %}{{ py_write_table(false, relation, compiled_code) }}{% endcall %}
    {% else %}
        {% do drop_other_kind(existing, 'table') %}
        {% call statement('main') %}{{ create_or_replace_table(relation, compiled_code) }}{% endcall %}
    {% endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {%- set relation = this.incorporate(type='view') -%}
    {% do drop_other_kind(load_cached_relation(this), 'view') %}
    {% call statement('main') %}
        {% if config.get('contract').enforced %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
        create or replace view {{ relation }} as ({{ compiled_code }});
    {% endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{# Strategy `days`: the build's days go, the new rows come. A day left empty stays empty. #}
{% materialization incremental, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% do drop_other_kind(existing, 'table') %}
    {% call statement('main') %}
        {% if existing is none or existing.is_view or should_full_refresh() %}
            {{ create_or_replace_table(relation, compiled_code) }}
        {% else %}
            delete from {{ relation }} where {{ in_build_days(config.get('day_column', 'usage_date')) }};
            insert into {{ relation }} by name ({{ compiled_code }});
        {% endif %}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}
