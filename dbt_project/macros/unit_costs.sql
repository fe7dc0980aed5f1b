{# Cost by request that succeeded, by 1,000 of them and by million tokens, of one figure of cost; NULL where nothing is known of it. #}
{% macro unit_costs(name, cost, successes='unique_success_count', tokens='token_count') -%}
    ({{ cost }})::double / nullif({{ successes }}, 0) as {{ name }}_cost_per_inference,
    ({{ cost }})::double * 1000 / nullif({{ successes }}, 0) as {{ name }}_cost_per_1k,
    ({{ cost }})::double * 1000000 / nullif({{ tokens }}, 0) as {{ name }}_cost_per_million_tokens
{%- endmacro %}

{# The first of a model's variants to compare the others with: what is called so, else the one with most requests. #}
{% macro baseline_order(variant, requests) -%}
    lower({{ variant }}) in ('baseline', 'control', 'champion', 'blue', 'a') desc nulls last, {{ requests }} desc, {{ variant }}
{%- endmacro %}
