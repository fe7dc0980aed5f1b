{# The items of a list written with semicolons: one row each. #}
{% macro receivers_listed(text) %}{{ return(adapter.dispatch('receivers_listed')(text)) }}{% endmacro %}
{% macro default__receivers_listed(text) -%} unnest(string_split({{ text }}, ';')) {%- endmacro %}

{# `Team : Platform` and `team:platform` are one: lower case, no blanks around the first colon or at the ends. #}
{% macro one_spelling(text) %}{{ return(adapter.dispatch('one_spelling')(text)) }}{% endmacro %}
{% macro default__one_spelling(text) -%} regexp_replace(lower(trim({{ text }})), '\s*:\s*', ':') {%- endmacro %}

{# FOCUS AllocatedMethodDetails of a row of int_costs__shared: a JSON object; NULL for a negating row, which is no allocated charge. #}
{% macro shared_method_details() %}{{ return(adapter.dispatch('shared_method_details')()) }}{% endmacro %}
{% macro default__shared_method_details() -%}
    case when share_ratio is not null then json_merge_patch('{}'::json, json_object(
        'Elements', [json_merge_patch('{}'::json, json_object(
            'AllocatedRatio', share_ratio,
            'UsageUnit', case when weight is null then null when is_reciprocal then 'part' when method in ('proportional', 'by_resource') then currency_code
                when method = 'driver' then driver when method = 'weights' then 'weight' when method = 'even' then 'team' end,
            'UsageQuantity', case when weight is null then null when is_reciprocal then weight when method in ('proportional', 'by_resource') then weight / 1e12
                when method = 'driver' then weight / 1e9 when method = 'weights' then weight / 1e6 when method = 'even' then 1 end
        ))],
        'x_RuleId', rule_id, 'x_RuleVersion', rule_version, 'x_Step', step, 'x_IsReciprocal', case when is_reciprocal then true end,
        'x_KeptReason', kept_reason
    ))::varchar end
{%- endmacro %}
