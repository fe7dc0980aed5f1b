-- One row per source with billing lines or a reconciliation: how many of its billing periods differ, in decimals.
-- A delta that is NULL, or that compared no rows, lies beyond every limit.
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as billing_lines from raw.billing_lines group by all
),

compared as (
    select
        *,
        coalesce(source_name, '') as source,
        abs(cost_delta) as size,
        coalesce(rows_compared, 0) = 0 or cost_delta is null as is_empty,
        case when is_empty then 1e17::decimal(38, 20) else size end as worst
    from quality.fct_reconciliation
),

by_source as (
    select
        source,
        count(*) as periods,
        coalesce(sum(rows_compared), 0)::bigint as rows_compared,
        count(*) filter (where is_empty or size > 0) as differing,
        count(*) filter (where is_empty or size > $warn_above::decimal(38, 20)) as beyond_warn,
        count(*) filter (where is_empty or size > $error_above::decimal(38, 20)) as beyond_error,
        arg_max(billing_period, worst) as worst_period,
        arg_max_null(cost_delta::varchar, worst) as worst_delta,
        count(*) filter (where rows_delta is distinct from 0) as uneven,
        max(rows_delivered) as rows_delivered,
        max(rows_loaded) as rows_loaded,
        max(rows_quarantined) as rows_quarantined,
        max(currency_code) as currency_code
    from compared
    group by source
)

select
    coalesce(by_source.source, billed.source_name) as source_name,
    coalesce(billed.billing_lines, 0) as billing_lines,
    coalesce(by_source.periods, 0) as periods,
    coalesce(by_source.rows_compared, 0) as rows_compared,
    coalesce(by_source.differing, 0) as differing,
    coalesce(by_source.beyond_warn, 0) as beyond_warn,
    coalesce(by_source.beyond_error, 0) as beyond_error,
    coalesce(by_source.uneven, 0) as uneven,
    by_source.* exclude (source, periods, rows_compared, differing, beyond_warn, beyond_error, uneven)
from by_source
full join billed on by_source.source = billed.source_name
order by 1
