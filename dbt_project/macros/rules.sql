{#
  What the dated rules of config/ say of each object (billing line, holding): of all rules that match one of its fields on its
  day, the one with the smallest priority number, then the smallest rule_id, decides. Each tag of config/virtual_tags.csv is
  decided on its own.

  objects   CTE with `object_number`, the day, and the fields
  fields    columns of it that rules may name; `tags` stands for all its tags
  kind      'owner' (config/owners.csv), 'tag' (config/virtual_tags.csv) or 'supporting' (config/supporting_costs.csv)
  Gives (object_number, tag, rule_id, rule_version, outcome), only for objects that some rule matched.
#}
{% macro decided_by_rules(objects, day, fields, kind) -%}
    select object_number, tag, rule_id, rule_version, outcome
    from (
        {%- for field in fields %}
        select objects.object_number, matches.tag, matches.rule_id, matches.rule_version, matches.priority, matches.outcome
        from {{ objects }} as objects
        inner join {{ ref('int_rule_matches') }} as matches
            on matches.rule_kind = '{{ kind }}' and matches.field = '{{ field }}' and matches.value = objects.{{ field }}
            and {{ in_force('matches', 'objects.' ~ day) }}
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    )
    qualify row_number() over (partition by object_number, tag order by priority, rule_id, rule_version) = 1
{%- endmacro %}

{# The fields that rules may name: of a billing line, of a holding. tollbook/warehouse/config.py refuses others. #}
{% macro line_fields() -%}
    {{ return(['source_name', 'billed_by', 'billing_account_id', 'sub_account_id', 'sub_account_name', 'service_name',
        'service_category', 'sku_id', 'region_id', 'resource_id', 'resource_name', 'resource_type', 'charge_category',
        'charge_description']) }}
{%- endmacro %}
{% macro holding_fields() -%}
    {{ return(['source_name', 'namespace', 'account', 'user_name', 'pool', 'cluster', 'name']) }}
{%- endmacro %}
