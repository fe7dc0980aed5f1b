-- One row per source and tag, newest period. A tag is required where it was in force on a day that was charged for.
with required as (
    select distinct
        days.source_name,
        tags.tag
    from (select distinct source_name, charge_date from finance.fct_charges) as days
    inner join config.required_tags as tags
        on coalesce(tags.valid_from, date '0001-01-01') <= days.charge_date
        and days.charge_date < coalesce(tags.valid_to, date '9999-12-31')
),

newest as (
    select
        *,
        count(*) over (partition by source_name, tag) as row_count
    from quality.fct_tag_coverage
    qualify row_number() over (partition by source_name, tag order by period desc) = 1
)

select
    coalesce(newest.source_name, required.source_name) as source_name,
    coalesce(newest.tag, required.tag) as tag,
    required.tag is not null as is_required,
    newest.period,
    coalesce(newest.row_count, 0) as row_count,
    newest.coverage_by_cost_ratio,
    newest.total_cost - newest.tagged_cost as untagged_cost,
    newest.currency_code
from newest
full join required on newest.source_name = required.source_name and newest.tag = required.tag
order by 1, 2
