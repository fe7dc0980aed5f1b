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
        case
            when coalesce(sources.is_own, false) then 'on_prem'
            when charges.billed_cost = charges.effective_cost then null
            when charges.charge_category <> 'Purchase' and charges.commitment_discount_id is null and charges.billed_cost <> 0
                and charges.effective_cost in (
                    round(charges.billed_cost, 0), round(charges.billed_cost, 1), round(charges.billed_cost, 2),
                    round(charges.billed_cost, 3), round(charges.billed_cost, 4), round(charges.billed_cost, 6)
                ) then 'provider_rounding'
            when charges.billed_cost > charges.effective_cost then 'prepaid_bought'
            else 'prepaid_drawn'
        end as term,
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
