-- One row per source: its newest delivery and what of it is current or in quarantine. `age_days`: from that delivery
-- to the publication. `freshness`: what the check of it said; `is_stale`: that it did not pass.
with freshness as (
    select
        subject as source_name,
        string_agg(message, '; ' order by message) as freshness,
        bool_or(status <> 'pass') as is_stale
    from quality.fct_checks
    where check_id = 'freshness_days'
    group by subject
)

select
    deliveries.source_name,
    any_value(deliveries.table_name) as table_name,
    max(deliveries.delivered_at) filter (deliveries.status = 'loaded') as delivered_at,
    date_diff(
        'hour', max(deliveries.delivered_at) filter (deliveries.status = 'loaded'), any_value(newest.published_at)
    ) / 24 as age_days,
    count(*) filter (deliveries.is_current and deliveries.status = 'loaded') as current_deliveries,
    sum(deliveries.rows_loaded) filter (deliveries.is_current)::bigint as rows_loaded,
    sum(deliveries.rows_quarantined) filter (deliveries.is_current)::bigint as rows_quarantined,
    any_value(freshness.freshness) as freshness,
    coalesce(any_value(freshness.is_stale), false) as is_stale
from quality.fct_deliveries as deliveries
cross join (select max(published_at) as published_at from quality.publication) as newest
left join freshness on deliveries.source_name = freshness.source_name
group by deliveries.source_name
order by deliveries.source_name
