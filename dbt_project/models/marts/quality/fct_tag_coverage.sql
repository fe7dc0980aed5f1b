-- One row per billing period, source and required tag: how much of the money, and of the resources, carries the tag.
-- Money is the absolute effective cost, so that a credit cannot hide an untagged line; keys count in any letter case. A virtual tag
-- (config/virtual_tags.csv) counts as a tag; what only such a rule covers is shown beside.
with grouped as (
    select
        billing_period, source_name, charge_date, tags, virtual_tags, resource_id, currency_code,
        sum(abs(reporting_effective_cost)) as cost
    from {{ ref('fct_charges') }}
    group by all
),

entries as (
    select tags, virtual_tags, {{ json_entries('tags') }} as entry, false as is_virtual
    from (select distinct tags, virtual_tags from grouped where tags is not null)
    union all
    select tags, virtual_tags, {{ json_entries('virtual_tags') }} as entry, true as is_virtual
    from (select distinct tags, virtual_tags from grouped where virtual_tags is not null)
),

present as (
    select coalesce(tags, '') as tags, coalesce(virtual_tags, '') as virtual_tags, lower(trim(entry.key)) as tag,
        bool_and(is_virtual) as is_only_virtual
    from entries
    where trim(entry.value) <> ''
    group by coalesce(tags, ''), coalesce(virtual_tags, ''), lower(trim(entry.key))
)

select
    grouped.billing_period as period,
    grouped.source_name,
    required.tag,
    sum(case when present.tag is not null then grouped.cost else 0 end)::decimal(38, 20) as tagged_cost,
    sum(case when present.is_only_virtual then grouped.cost else 0 end)::decimal(38, 20) as virtually_tagged_cost,
    sum(grouped.cost)::decimal(38, 20) as total_cost,
    sum(case when present.tag is not null then grouped.cost else 0 end)::double / nullif(sum(grouped.cost)::double, 0)
        as coverage_by_cost_ratio,
    count(distinct case when present.tag is not null then grouped.resource_id end) as tagged_resources,
    count(distinct grouped.resource_id) as total_resources,
    count(distinct case when present.tag is not null then grouped.resource_id end)::double
        / nullif(count(distinct grouped.resource_id), 0) as coverage_by_resource_ratio,
    grouped.currency_code
from grouped
inner join {{ source('config', 'required_tags') }} as required
    on {{ in_force('required', 'grouped.charge_date') }}
left join present
    on coalesce(grouped.tags, '') = present.tags and coalesce(grouped.virtual_tags, '') = present.virtual_tags
    and lower(required.tag) = present.tag
group by grouped.billing_period, grouped.source_name, required.tag, grouped.currency_code
