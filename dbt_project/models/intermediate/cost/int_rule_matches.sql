-- One row per value of a field that occurs in the build's days and rule that matches it, with the rule's version and validity.
-- Rules say who owns (config/owners.csv), which virtual tag holds (config/virtual_tags.csv) or that requests rest on it
-- (config/supporting_costs.csv). Field `tags` stands for a whole
-- tags text: a rule on `tag:<key>` matches the texts that hold a matching value.
{{ config(materialized='table') }}

with rules as (
    select
        'owner' as rule_kind, null::varchar as tag, rule_id, rule_version, priority, lower(trim(field)) as field,
        trim(pattern) as pattern, trim(team) as outcome, valid_from, valid_to
    from {{ source('config', 'owners') }}
    union all
    select
        'tag' as rule_kind, lower(trim(tag)) as tag, rule_id, rule_version, priority, lower(trim(field)) as field,
        trim(pattern) as pattern, trim(value) as outcome, valid_from, valid_to
    from {{ source('config', 'virtual_tags') }}
    union all
    select
        'supporting' as rule_kind, null as tag, rule_id, rule_version, priority, lower(trim(field)) as field,
        trim(pattern) as pattern, rule_id as outcome, valid_from, valid_to
    from {{ source('config', 'supporting_costs') }}
),

seen as (
    {% for field in line_fields() %}
    select distinct '{{ field }}' as field, {{ field }} as value, {{ field }} as whole
    from {{ ref('int_charge_lines') }}
    where {{ may_overlap_build_days('charge_date', 'accrues_until_at') }} and '{{ field }}' in (select rules.field from rules)
    union
    {% endfor %}
    {% for field in holding_fields() %}
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
        rules.rule_kind,
        rules.tag,
        seen.field,
        seen.whole,
        rules.rule_id,
        rules.rule_version,
        rules.priority,
        case when rules.outcome = '{value}' then seen.value else rules.outcome end as outcome,
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
    matched.rule_kind,
    matched.tag,
    case when matched.field like 'tag:%' then 'tags' else matched.field end as field,
    matched.whole as value,
    matched.rule_id,
    matched.rule_version,
    matched.priority,
    case when matched.rule_kind = 'owner' then coalesce(spelt.team, lower(matched.outcome)) else matched.outcome end as outcome,
    matched.valid_from,
    matched.valid_to
from matched
left join spelt on matched.rule_kind = 'owner' and lower(matched.outcome) = spelt.team_key
