-- One row per source: everything that meta knows of its deliveries.
with loaded as (
    select
        *,
        row_number() over (
            partition by source_name order by delivered_at desc, loaded_at desc, partition_key desc
        ) as age
    from meta.deliveries
    where status = 'loaded'
),

reach as (
    select source_name, delivery_id, max(usage_date) as newest_day from meta.delivery_days group by all
),

newest as (
    select loaded.*, reach.newest_day
    from loaded
    left join reach on loaded.source_name = reach.source_name and loaded.delivery_id = reach.delivery_id
    where loaded.is_current
    qualify row_number() over (partition by loaded.source_name order by loaded.age) = 1
),

totals as (
    select
        source_name,
        count(*) as deliveries,
        sum(rows_delivered)::bigint as rows_delivered,
        sum(rows_loaded)::bigint as rows_loaded,
        sum(rows_quarantined)::bigint as rows_quarantined,
        max(rows_quarantined / nullif(rows_delivered, 0)) as worst_ratio,
        arg_max(array_to_string(file_names, ', '), rows_quarantined / nullif(rows_delivered, 0)) as worst_files
    from loaded
    where is_current
    group by source_name
),

-- the same weekday of the four weeks before, and the four deliveries before
earlier as (
    select
        newest.source_name,
        loaded.rows_delivered,
        case
            when loaded.is_current and date_diff('day', reach.newest_day, newest.newest_day) in (7, 14, 21, 28)
                then date_diff('day', reach.newest_day, newest.newest_day)
        end as days_before,
        loaded.age - newest.age between 1 and 4 as is_trailing
    from newest
    inner join loaded on newest.source_name = loaded.source_name and newest.age <> loaded.age
    left join reach on loaded.source_name = reach.source_name and loaded.delivery_id = reach.delivery_id
),

usual as (
    select
        source_name,
        count(distinct days_before) as weeks,
        median(rows_delivered) filter (where days_before is not null) as weeks_median,
        count(*) filter (where is_trailing) as trailing,
        median(rows_delivered) filter (where is_trailing) as trailing_median
    from earlier
    group by source_name
),

before as (
    select newest.source_name, loaded.columns, array_to_string(loaded.file_names, ', ') as files
    from newest
    inner join loaded on newest.source_name = loaded.source_name and loaded.age > newest.age
    qualify row_number() over (partition by newest.source_name order by loaded.age) = 1
),

-- the last attempt at each partition; what was not tried again for a week was withdrawn
attempts as (
    select
        source_name,
        partition_key,
        arg_max(status, loaded_at) as status,
        arg_max(error, loaded_at) as error,
        max(loaded_at) as tried_at
    from meta.deliveries
    where status in ('loaded', 'failed')
    group by all
),

failures as (
    select
        source_name,
        count(*) as partitions,
        count(*) filter (where status = 'failed' and tried_at >= $now::timestamp - interval 7 day) as failed,
        arg_max(error, tried_at) filter (where status = 'failed') as last_error
    from attempts
    group by source_name
)

select
    sources.source_name,
    coalesce(totals.deliveries, 0) as deliveries,
    totals.* exclude (source_name, deliveries),
    array_to_string(newest.file_names, ', ') as newest_files,
    newest.rows_delivered as newest_rows,
    newest.columns as newest_columns,
    before.columns as earlier_columns,
    before.files as earlier_files,
    coalesce(usual.weeks, 0) as weeks,
    usual.weeks_median,
    coalesce(usual.trailing, 0) as trailing,
    usual.trailing_median,
    coalesce(failures.partitions, 0) as partitions,
    coalesce(failures.failed, 0) as failed,
    failures.last_error
from (select unnest($sources) as source_name) as sources
left join totals on sources.source_name = totals.source_name
left join newest on sources.source_name = newest.source_name
left join usual on sources.source_name = usual.source_name
left join before on sources.source_name = before.source_name
left join failures on sources.source_name = failures.source_name
