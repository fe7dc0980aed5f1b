-- The other side of what is charged, from the bills: one row per day of the charge, bill and account. What a bill asks for is owed to its
-- invoice (`clearing`, a credit); what is bought and not yet used stands in `prepaid`; `bridge` takes what the charges of that bill add up to
-- and is 0 per billing period and provider where they do. Digits past the 12th go to `rounding`; each bill's day adds up to 0.
with lines as (
    select
        charges.charge_date as usage_date,
        charges.billing_period,
        charges.source_name,
        charges.billed_by,
        charges.invoice_id,
        charges.commitment_discount_id as commitment_id,
        {{ bill_term('charges', 'sources') }} as term,
        charges.reporting_billed_cost as billed_cost,
        charges.reporting_effective_cost as effective_cost,
        charges.currency_code
    from {{ ref('fct_charges') }} as charges
    left join {{ source('config', 'sources') }} as sources on charges.source_name = sources.source_name
    where not coalesce(sources.is_own, false) and {{ in_build_days('charges.charge_date') }}
),

sides as (
    select
        usage_date, billing_period, source_name, billed_by, null::varchar as invoice_id, null::varchar as commitment_id, 'bridge' as account,
        (sum(effective_cost::decimal(38, 12)) + (sum(effective_cost) - sum(effective_cost::decimal(38, 12)))::decimal(38, 12))
            ::decimal(38, 12) as cost,
        currency_code
    from lines
    group by all
    union all
    select
        usage_date, billing_period, source_name, billed_by, invoice_id, null, 'clearing', (-sum(billed_cost))::decimal(38, 12), currency_code
    from lines
    group by all
    union all
    select
        usage_date, billing_period, source_name, billed_by, null,
        case when term <> 'provider_rounding' then commitment_id end as commitment_id,
        case when term = 'provider_rounding' then 'provider_rounding' else 'prepaid' end as account,
        sum(billed_cost - effective_cost)::decimal(38, 12), currency_code
    from lines
    where term in ('prepaid_bought', 'prepaid_drawn', 'provider_rounding')
    group by all
)

select * from sides where cost <> 0

union all

select
    usage_date, billing_period, source_name, billed_by, null as invoice_id, null as commitment_id, 'rounding' as account,
    (-sum(cost))::decimal(38, 12) as cost, currency_code
from sides
group by usage_date, billing_period, source_name, billed_by, currency_code
having sum(cost) <> 0
