-- One row per value of a field that occurs in the build's days and owner rule that matches it, with the rule's validity.
-- Field `tags` stands for a whole tags text: a rule on `tag:<key>` matches the texts that hold a matching value.
{{ config(materialized='table') }}

{%- set line_fields = ['source_name', 'billing_account_id', 'sub_account_id', 'resource_id', 'resource_name', 'service_name'] -%}
{%- set holding_fields = ['source_name', 'namespace', 'account', 'user_name', 'pool', 'cluster', 'name'] %}

with rules as (
    select
        rule_id,
        priority,
        lower(trim(field)) as field,
        trim(pattern) as pattern,
        trim(team) as team,
        valid_from,
        valid_to
    from {{ source('config', 'owners') }}
),

seen as (
    {% for field in line_fields %}
    select distinct '{{ field }}' as field, {{ field }} as value, {{ field }} as whole
    from {{ ref('int_charge_lines') }}
    where {{ in_build_days('charge_date') }} and '{{ field }}' in (select rules.field from rules)
    union
    {% endfor %}
    {% for field in holding_fields %}
    select distinct '{{ field }}' as field, {{ field }} as value, {{ field }} as whole
    from {{ ref('stg_telemetry__holdings') }}
    where {{ in_build_days('holding_date') }} and '{{ field }}' in (select rules.field from rules)
    union
    {% endfor %}
    select 'tag:' || tag_key as field, tag_value as value, tags as whole
    from {{ ref('int_tag_values') }}
),

matched as (
    select
        seen.field,
        seen.value,
        seen.whole,
        rules.rule_id,
        rules.priority,
        case when rules.team = '{value}' then seen.value else rules.team end as team,
        rules.valid_from,
        rules.valid_to
    from seen
    inner join rules
        on seen.field = rules.field and {{ matches_glob('seen.value', 'rules.pattern') }}
),

-- a team is one team however it is spelt: as config/teams.csv has it, else in lower case
spelt as (
    select lower(team) as team_key, min(team) as team
    from {{ source('config', 'teams') }}
    group by 1
)

select
    case when matched.field like 'tag:%' then 'tags' else matched.field end as field,
    matched.whole as value,
    matched.rule_id as owner_rule_id,
    matched.priority,
    coalesce(spelt.team, lower(matched.team)) as team,
    matched.valid_from,
    matched.valid_to
from matched
left join spelt on lower(matched.team) = spelt.team_key
