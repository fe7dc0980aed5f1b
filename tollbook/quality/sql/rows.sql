-- One row per source: what is really in raw (`counted`) and in quarantine, against what loading wrote down.
with in_quarantine as (
    select source_name, delivery_id, count(*) as row_count
    from raw.quarantine
    where delivery_id in (select scope.delivery_id from deliveries_in_scope as scope)
    group by all
),

noted as (
    select deliveries.source_name, max(days.usage_date) as newest_day
    from meta.delivery_days as days
    inner join meta.deliveries as deliveries
        on days.source_name = deliveries.source_name and days.delivery_id = deliveries.delivery_id
    where deliveries.is_current
    group by all
),

compared as (
    select
        scope.source_name,
        array_to_string(scope.file_names, ', ') as files,
        scope.rows_delivered,
        coalesce(counted.row_count, 0) as rows_in_raw,
        coalesce(in_quarantine.row_count, 0) as rows_in_quarantine,
        counted.reaches_to,
        scope.rows_delivered is distinct from scope.rows_loaded + scope.rows_quarantined
        or scope.rows_loaded is distinct from coalesce(counted.row_count, 0)
        or scope.rows_quarantined is distinct from coalesce(in_quarantine.row_count, 0) as is_unbalanced
    from deliveries_in_scope as scope
    left join counted on scope.source_name = counted.source_name and scope.delivery_id = counted.delivery_id
    left join in_quarantine
        on scope.source_name = in_quarantine.source_name and scope.delivery_id = in_quarantine.delivery_id
),

by_source as (
    select
        source_name,
        count(*) as counted_deliveries,
        sum(rows_in_raw)::bigint as rows_in_raw,
        count(*) filter (where is_unbalanced) as unbalanced,
        min(
            files || ': ' || coalesce(rows_delivered::varchar, 'an unknown number of') || ' delivered, '
            || rows_in_raw || ' loaded, ' || rows_in_quarantine || ' in quarantine'
        ) filter (where is_unbalanced) as unbalanced_delivery,
        max(reaches_to)::date as reaches_to
    from compared
    group by source_name
)

select
    by_source.*,
    coalesce(by_source.reaches_to, noted.newest_day) as newest_day,
    date_diff('day', coalesce(by_source.reaches_to, noted.newest_day), $now::date) as age_days
from by_source
left join noted on by_source.source_name = noted.source_name
