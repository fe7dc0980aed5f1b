{# What the later steps must tell apart of a billing line, and where it stands: the columns of int_charges__timed. #}
{% macro timed_fields() %}
    {{ return(['charge_date', 'source_name', 'file_name', 'file_row', 'billed_by', 'billing_period', 'charge_category',
        'service_name', 'service_category', 'commitment_discount_status', 'capacity_reservation_status', 'resource_id', 'model', 'service_tier',
        'currency_code', 'component', 'supporting_rule_id', 'project', 'owner_rule']) }}
{% endmacro %}

{#
  What lies between a line's billed and effective cost: `on_prem` for own ledgers, NULL where it is billed as effective, `provider_rounding`
  where the effective cost is the billed one rounded, else `prepaid_bought` (billed above its worth now) or `prepaid_drawn`.
#}
{% macro bill_term(charges, sources) -%}
    case
        when coalesce({{ sources }}.is_own, false) then 'on_prem'
        when {{ charges }}.billed_cost = {{ charges }}.effective_cost then null
        when {{ charges }}.charge_category <> 'Purchase' and {{ charges }}.commitment_discount_id is null and {{ charges }}.billed_cost <> 0
            and {{ charges }}.effective_cost in (
                {%- for digits in [0, 1, 2, 3, 4, 6] %}
                round({{ charges }}.billed_cost, {{ digits }}){{ ',' if not loop.last }}
                {%- endfor %}
            ) then 'provider_rounding'
        when {{ charges }}.billed_cost > {{ charges }}.effective_cost then 'prepaid_bought'
        else 'prepaid_drawn'
    end
{%- endmacro %}
