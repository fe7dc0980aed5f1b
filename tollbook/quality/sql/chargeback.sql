-- One row per source: effective cost at the twelve digits that are charged, against what its bills charged outside the
-- rounding bucket, in decimals. What lies below the twelfth digit is that bucket's; the bridge holds it to account.
with billed as (
    select coalesce(source_name, '') as source_name, count(*) as billing_lines from raw.billing_lines group by all
),

effective as (
    select
        coalesce(source_name, '') as source_name,
        count(*) as row_count,
        sum(reporting_effective_cost::decimal(38, 12)) as cost,
        max(currency_code) as currency_code
    from finance.fct_charges
    group by all
),

charged as (
    select coalesce(source_name, '') as source_name, count(*) as row_count, sum(charged_cost) as cost
    from intermediate.int_chargeback
    where basis = 'billed' and bucket <> 'rounding'
    group by all
),

compared as (
    select
        coalesce(effective.source_name, charged.source_name) as source_name,
        coalesce(effective.row_count, 0) + coalesce(charged.row_count, 0) as rows_compared,
        effective.cost as effective_cost,
        charged.cost as charged_cost,
        coalesce(effective.cost, 0) - coalesce(charged.cost, 0) as delta,
        effective.currency_code
    from effective
    full join charged on effective.source_name = charged.source_name
)

select
    coalesce(compared.source_name, billed.source_name) as source_name,
    coalesce(billed.billing_lines, 0) as billing_lines,
    coalesce(compared.rows_compared, 0) as rows_compared,
    coalesce(compared.effective_cost, 0)::varchar as effective_cost,
    coalesce(compared.charged_cost, 0)::varchar as charged_cost,
    coalesce(compared.delta, 0)::varchar as delta,
    coalesce(abs(compared.delta) > 0, false)::integer as differing,
    coalesce(abs(compared.delta) > $warn_above::decimal(38, 20), false)::integer as beyond_warn,
    coalesce(abs(compared.delta) > $error_above::decimal(38, 20), false)::integer as beyond_error,
    compared.currency_code
from billed
full join compared on billed.source_name = compared.source_name
order by 1
