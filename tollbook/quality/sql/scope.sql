-- Deliveries whose rows are counted again: those of the days that the build computes, and those that reach furthest.
-- A night costs what the night brought: older ones were counted in theirs.
create or replace temp table deliveries_in_scope as
with reach as (
    select
        source_name,
        delivery_id,
        max(usage_date) as newest_day,
        bool_or(usage_date in (select build_days.usage_date from meta.build_days as build_days)) as is_built
    from meta.delivery_days
    group by all
)

select deliveries.*
from meta.deliveries as deliveries
left join reach on deliveries.source_name = reach.source_name and deliveries.delivery_id = reach.delivery_id
where deliveries.is_current and deliveries.source_name in (select unnest($sources))
qualify coalesce(reach.is_built, false) or row_number() over (
    partition by deliveries.source_name order by reach.newest_day desc nulls last, deliveries.delivered_at desc
) <= 4
