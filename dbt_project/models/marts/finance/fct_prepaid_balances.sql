-- One row per billing period, bill and billing currency that has prepaid anything: what was paid ahead, what usage drew, and what is
-- left of it. The balance is kept in the billing currency, so that a moving exchange rate leaves nothing behind; the bridge's terms
-- prepaid_bought and prepaid_drawn are the same movements in the reporting currency.
with moves as (
    select
        billing_period,
        billed_by,
        billing_currency,
        sum(case when term = 'prepaid_bought' then billed_amount - effective_amount else 0 end) as bought_amount,
        sum(case when term = 'prepaid_drawn' then effective_amount - billed_amount else 0 end) as drawn_amount,
        sum(case when term = 'prepaid_bought' then billed_cost - effective_cost else 0 end) as bought_cost,
        sum(case when term = 'prepaid_drawn' then effective_cost - billed_cost else 0 end) as drawn_cost,
        currency_code
    from {{ ref('int_bill_terms') }}
    group by billing_period, billed_by, billing_currency, currency_code
),

running as (
    select
        *,
        sum(bought_amount - drawn_amount) over so_far as balance_amount,
        sum(bought_amount + drawn_amount) over so_far as moved_amount
    from moves
    window so_far as (
        partition by billed_by, billing_currency order by billing_period rows between unbounded preceding and current row
    )
)

select
    billing_period,
    billed_by,
    bought_amount::decimal(38, 20) as bought_amount,
    drawn_amount::decimal(38, 20) as drawn_amount,
    balance_amount::decimal(38, 20) as balance_amount,
    billing_currency,
    bought_cost::decimal(38, 20) as bought_cost,
    drawn_cost::decimal(38, 20) as drawn_cost,
    currency_code
from running
where moved_amount <> 0
