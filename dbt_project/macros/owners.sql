{#
  The owner of each object (billing line, holding) by the dated rules of config/owners.csv: of all rules that match one of
  its fields on its day, the one with the smallest priority number, then the smallest rule_id, decides.

  objects   CTE with `object_number`, the day, and the fields
  fields    columns of it that rules may name; `tags` stands for all its tags
  Gives (object_number, owner_rule_id, team), only for objects that some rule matched.
#}
{% macro owners_of(objects, day, fields) -%}
    select object_number, owner_rule_id, team
    from (
        {%- for field in fields %}
        select objects.object_number, matches.owner_rule_id, matches.priority, matches.team
        from {{ objects }} as objects
        inner join {{ ref('int_owner_matches') }} as matches
            on matches.field = '{{ field }}' and matches.value = objects.{{ field }}
            and {{ in_force('matches', 'objects.' ~ day) }}
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    )
    qualify row_number() over (partition by object_number order by priority, owner_rule_id) = 1
{%- endmacro %}
