-- What lies between billed and effective cost, by kind: one row per billing period, bill, currency and term. A line that is billed more
-- than it is worth now is `prepaid_bought`, one worth more than it is billed `prepaid_drawn`; where the effective cost is the billed one
-- rounded it is `provider_rounding`. Own ledgers (`own: true` in tollbook.yml) are `on_prem`; NULL: billed as effective.
{{ config(materialized='table') }}

with charges as (
    select
        charges.billing_period,
        charges.billed_by,
        charges.billing_currency,
        charges.currency_code,
        {{ bill_term('charges', 'sources') }} as term,
        charges.billed_cost,
        charges.effective_cost,
        charges.reporting_billed_cost,
        charges.reporting_effective_cost
    from {{ ref('fct_charges') }} as charges
    left join {{ source('config', 'sources') }} as sources on charges.source_name = sources.source_name
)

select
    billing_period,
    billed_by,
    billing_currency,
    term,
    count(*) as line_count,
    sum(billed_cost)::decimal(38, 20) as billed_amount,
    sum(effective_cost)::decimal(38, 20) as effective_amount,
    sum(reporting_billed_cost)::decimal(38, 20) as billed_cost,
    sum(reporting_effective_cost)::decimal(38, 20) as effective_cost,
    currency_code
from charges
group by billing_period, billed_by, billing_currency, term, currency_code
