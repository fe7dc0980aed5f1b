{# What the later steps must tell apart of a billing line, and where it stands: the columns of int_charges__timed. #}
{% macro timed_fields() %}
    {{ return(['charge_date', 'source_name', 'file_name', 'file_row', 'billed_by', 'billing_period', 'charge_category',
        'service_name', 'service_category', 'commitment_discount_status', 'capacity_reservation_status', 'resource_id', 'model',
        'currency_code', 'component', 'supporting_rule_id']) }}
{% endmacro %}
