-- One row per source: billing lines, and days of the register's rows, and the charges that came of them.
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as row_count
    from (select source_name from raw.billing_lines union all select source_name from intermediate.int_asset_days)
    group by all
),

charged as (
    select coalesce(source_name, '') as source_name, count(*) as row_count from finance.fct_charges group by all
)

select
    coalesce(billed.source_name, charged.source_name) as source_name,
    coalesce(billed.row_count, 0) as input_rows,
    coalesce(charged.row_count, 0) as mart_rows,
    abs(coalesce(billed.row_count, 0) - coalesce(charged.row_count, 0)) as differing
from billed
full join charged on billed.source_name = charged.source_name
order by 1
