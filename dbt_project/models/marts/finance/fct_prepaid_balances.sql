-- One row per billing period and bill that has prepaid anything: what was paid ahead, what usage drew, and what is left of it.
-- The terms are the bridge's: purchases worth less than they cost now, and usage worth more than it was billed.
with terms as (
    select
        billing_period,
        billed_by,
        -sum(case when term = 'prepaid_bought' then cost else 0 end) as bought_cost,
        sum(case when term = 'prepaid_drawn' then cost else 0 end) as drawn_cost,
        currency_code
    from {{ ref('fct_bridge') }}
    where term in ('prepaid_bought', 'prepaid_drawn')
    group by billing_period, billed_by, currency_code
),

running as (
    select
        *,
        sum(bought_cost - drawn_cost) over (
            partition by billed_by, currency_code order by billing_period rows between unbounded preceding and current row
        ) as balance_cost,
        sum(abs(bought_cost) + abs(drawn_cost)) over (
            partition by billed_by, currency_code order by billing_period rows between unbounded preceding and current row
        ) as moved_cost
    from terms
)

select
    billing_period,
    billed_by,
    bought_cost::decimal(38, 20) as bought_cost,
    drawn_cost::decimal(38, 20) as drawn_cost,
    balance_cost::decimal(38, 20) as balance_cost,
    currency_code
from running
where moved_cost <> 0
