-- What the providers ask for the month, from what was drawn and not from their lines; an invoice is rounded to cents, once.
-- Variable: month, the first day of one of invoiced_months.
with month as (
    select *, first_number + day_count as end_number
    from invoiced_months
    where first_day = getvariable('month')
),

asked as (
    -- nodes by the GPU-second, but those on the plan, which is bought for the month at 9.00 an hour of each
    select
        'NC' as prefix, 'Nimbus Cloud' as issuer, 'nimbus-4711' as account, 'Cloud services' as what,
        day_count * count(*)
        * case when pool = 'a10' then 24 * 9.00 else 8 * 86400 * price::decimal(9, 0) * 0.000001::decimal(7, 6) end as cost
    from nodes, month
    where not is_own
    group by pool, price, day_count

    union all

    -- support, tax and the credit of each day
    select 'NC', 'Nimbus Cloud', 'nimbus-4711', 'Cloud services', day_count * (100.00 + 50.00 - 25.00)
    from month

    union all

    select 'NC', 'Nimbus Cloud', 'nimbus-4711', 'Cloud services', sum(cost)
    from direct_costs, month
    where day >= first_number and day < end_number

    union all

    select
        'LA', 'Lumen AI', 'lumen-88', 'API usage',
        sum(
            case token_kind when 'input' then fresh_tokens when 'cached_input' then cached_tokens else output_tokens end::decimal(18, 0)
            * price_per_million
        ) * 0.000001::decimal(7, 6)
    from token_hours
    inner join prices using (model)
    cross join month
    where provider = 'Lumen AI' and day >= first_number and day < end_number
)

select
    prefix || strftime(first_day, '-%Y-%m') as invoice_id,
    issuer as invoice_issuer_name,
    account as billing_account_id,
    first_day::timestamp as billing_period_start,
    first_day::timestamp + interval 1 month as billing_period_end,
    billing_period_end + interval 2 day as issued_at,
    issued_at + interval 30 day as due_at,
    what || strftime(first_day, ' %B %Y') as description,
    round(sum(cost::decimal(38, 12)), 2)::decimal(24, 2) as billed_cost,
    'USD' as billing_currency
from asked, month
group by prefix, issuer, account, what, first_day
order by invoice_id
