{# Who pays for what: the columns, beside the day of usage, that the models compute chargeback by and the marts show the ledger by. #}
{% macro chargeback_columns() -%}
    usage_period, billing_period, billed_by, source_name, team, cost_centre, bucket, component, basis
{%- endmacro %}
