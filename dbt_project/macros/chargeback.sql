{# Who pays for what: the columns, beside the day of usage, that the models compute chargeback by and the marts show the ledger by. #}
{% macro chargeback_columns() -%}
    usage_period, billing_period, billed_by, source_name, team, cost_centre, bucket, component, basis
{%- endmacro %}

{# What a charge counts towards: the whole, and its team, cost centre and provider, as lists for `unfolded`. #}
{% macro charged_scopes() %}
    {{ return({
        'scope': ["'all'", "'team'", "'cost_centre'", "'provider'"],
        'scope_value': ['null', "case when bucket = 'allocated' then team end", 'cost_centre', 'billed_by'],
    }) }}
{% endmacro %}
