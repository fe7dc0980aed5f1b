-- One row per billing period, source and required tag: how much of the money, and of the resources, carries the tag.
-- Money is the absolute effective cost, so that a credit cannot hide an untagged line; keys count in any letter case.
with lines as (
    select
        owned.billing_period,
        owned.source_name,
        owned.charge_date,
        lines.tags,
        lines.resource_id,
        abs(owned.reporting_effective_cost) as cost,
        owned.currency_code
    from {{ ref('fct_charges') }} as lines
    inner join {{ ref('int_charges__owned') }} as owned
        on lines.charge_date = owned.charge_date and lines.source_name = owned.source_name
        and lines.file_name = owned.file_name and lines.file_row = owned.file_row
),

grouped as (
    select billing_period, source_name, charge_date, tags, resource_id, currency_code, sum(cost) as cost
    from lines
    group by all
),

entries as (
    select tags, {{ json_entries('tags') }} as entry
    from (select distinct tags from grouped where tags is not null)
),

present as (
    select distinct tags, lower(trim(entry.key)) as tag from entries where trim(entry.value) <> ''
)

select
    grouped.billing_period as period,
    grouped.source_name,
    required.tag,
    sum(case when present.tag is not null then grouped.cost else 0 end)::decimal(38, 20) as tagged_cost,
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
left join present on grouped.tags = present.tags and lower(required.tag) = present.tag
group by grouped.billing_period, grouped.source_name, required.tag, grouped.currency_code
