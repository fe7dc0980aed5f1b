-- One row per provider that charged something: how many of its billing periods leave a remainder, in decimals.
with charged as (
    select coalesce(billed_by, '') as billed_by, count(*) as charges from finance.fct_charges group by all
),

remainders as (
    select
        coalesce(billed_by, '') as billed_by,
        count(*) as periods,
        coalesce(sum(rows_compared), 0)::bigint as rows_compared,
        count(*) filter (where is_empty or size > 0) as differing,
        count(*) filter (where is_empty or size > $warn_above::decimal(38, 20)) as beyond_warn,
        count(*) filter (where is_empty or size > $error_above::decimal(38, 20)) as beyond_error,
        arg_max(billing_period, worst) as worst_period,
        arg_max_null(cost::varchar, worst) as worst_remainder,
        max(currency_code) as currency_code
    from (
        select
            *,
            abs(cost) as size,
            coalesce(rows_compared, 0) = 0 or cost is null as is_empty,
            case when is_empty then 1e17::decimal(38, 20) else size end as worst
        from quality.fct_bridge
        where term = 'remainder'
    )
    group by all
)

select
    coalesce(nullif(coalesce(charged.billed_by, remainders.billed_by), ''), 'no provider') as billed_by,
    coalesce(charged.charges, 0) as charges,
    coalesce(remainders.periods, 0) as periods,
    coalesce(remainders.rows_compared, 0) as rows_compared,
    coalesce(remainders.differing, 0) as differing,
    coalesce(remainders.beyond_warn, 0) as beyond_warn,
    coalesce(remainders.beyond_error, 0) as beyond_error,
    remainders.worst_period,
    remainders.worst_remainder,
    remainders.currency_code
from charged
full join remainders on charged.billed_by = remainders.billed_by
order by 1
