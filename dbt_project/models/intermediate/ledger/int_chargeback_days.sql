-- What is charged by day as the models compute it, which the ledger is brought to: one row per day, bill, payer and component.
select
    usage_date,
    {{ chargeback_columns() }},
    sum(charged_cost) as charged_cost,
    currency_code
from {{ ref('int_ledger__charges') }}
where {{ in_build_days('usage_date') }}
group by all
