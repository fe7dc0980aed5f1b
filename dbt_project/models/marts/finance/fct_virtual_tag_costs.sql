-- One row per month of usage, bill and virtual tag value: what the lines cost that a rule of config/virtual_tags.csv gave the value.
-- `component` tells what a cost is for, such as what a law or a contract causes (compliance).
with grouped as (
    select
        date_trunc('month', charge_date)::date as usage_period, billed_by, virtual_tags, currency_code,
        sum(reporting_effective_cost) as cost, count(*) as line_count
    from {{ ref('fct_charges') }}
    where virtual_tags is not null
    group by all
),

entries as (
    select virtual_tags, {{ json_entries('virtual_tags') }} as entry
    from (select distinct virtual_tags from grouped)
)

select
    grouped.usage_period,
    grouped.billed_by,
    entries.entry.key as tag,
    entries.entry.value as tag_value,
    sum(grouped.cost)::decimal(38, 20) as tagged_cost,
    sum(grouped.line_count)::bigint as line_count,
    grouped.currency_code
from grouped
inner join entries on grouped.virtual_tags = entries.virtual_tags
group by grouped.usage_period, grouped.billed_by, entries.entry.key, entries.entry.value, grouped.currency_code
