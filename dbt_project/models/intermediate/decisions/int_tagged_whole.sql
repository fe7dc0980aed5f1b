-- How much carries all the required tags that are in force: one row per billing period and source, with its money (absolute effective cost) and
-- resources; a resource counts as tagged where a line of it carries them all. A virtual tag counts as a tag.
{{ config(materialized='table') }}

with lines as (
    select
        billing_period, source_name, charge_date, tags, virtual_tags, resource_id, sum(abs(reporting_effective_cost)) as cost
    from {{ ref('fct_charges') }}
    group by all
),

present as (
    select distinct tags, virtual_tags, lower(trim(entry.key)) as tag
    from (
        select tags, virtual_tags, {{ json_entries('tags') }} as entry from (select distinct tags, virtual_tags from lines where tags is not null)
        union all
        select tags, virtual_tags, {{ json_entries('virtual_tags') }}
        from (select distinct tags, virtual_tags from lines where virtual_tags is not null)
    )
    where trim(entry.value) <> ''
),

carried as (
    select sets.charge_date, sets.tags, sets.virtual_tags, count(present.tag) = count(*) as is_whole
    from (select distinct charge_date, tags, virtual_tags from lines) as sets
    inner join {{ source('config', 'required_tags') }} as required on {{ in_force('required', 'sets.charge_date') }}
    left join present
        on sets.tags is not distinct from present.tags and sets.virtual_tags is not distinct from present.virtual_tags
        and lower(trim(required.tag)) = present.tag
    group by all
)

select
    lines.billing_period as period,
    lines.source_name,
    sum(lines.cost) as cost,
    coalesce(sum(lines.cost) filter (where carried.is_whole), 0) as tagged_cost,
    count(distinct lines.resource_id) as resources,
    count(distinct lines.resource_id) filter (where carried.is_whole) as tagged_resources
from lines
inner join carried
    on lines.charge_date = carried.charge_date and lines.tags is not distinct from carried.tags
    and lines.virtual_tags is not distinct from carried.virtual_tags
group by all
