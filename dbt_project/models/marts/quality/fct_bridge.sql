-- The bridge from billed (cash) to charged (accrual): one row per billing period, provider and term. The remainder is what the
-- named terms leave unexplained: 0, to the last digit. Own ledgers (`own: true` in tollbook.yml) are the on-prem term.
with charged as (
    select
        billing_period,
        billed_by,
        count(*) as row_count,
        sum(case when basis = 'estimated' then charged_cost else 0 end) as estimated_cost,
        sum(charged_cost) as charged_cost,
        min(currency_code) as currency_code
    from {{ ref('int_chargeback') }}
    group by billing_period, billed_by
),

billed as (
    select
        billing_period,
        billed_by,
        sum(line_count)::bigint as row_count,
        sum(case when term = 'on_prem' then 0 else billed_cost end) as billed_cost,
        sum(case when term = 'prepaid_bought' then effective_cost - billed_cost else 0 end) as prepaid_bought,
        sum(case when term = 'prepaid_drawn' then effective_cost - billed_cost else 0 end) as prepaid_drawn,
        sum(case when term = 'on_prem' then effective_cost else 0 end) as on_prem,
        sum(case when term = 'provider_rounding' then effective_cost - billed_cost else 0 end) as provider_rounding,
        min(currency_code) as currency_code
    from {{ ref('int_bill_terms') }}
    group by billing_period, billed_by
),

-- costs are allocated in 12 digits and each day's rest goes to the rounding bucket: this is what even that cannot hold
rounded as (
    select
        billing_period,
        billed_by,
        sum(allocable + (effective - allocable)::decimal(38, 12) - effective) as rounding
    from (
        select
            charge_date, source_name, billing_period, billed_by,
            sum(reporting_effective_cost) as effective,
            sum(reporting_effective_cost::decimal(38, 12)) as allocable
        from {{ ref('fct_charges') }}
        group by all
    )
    group by billing_period, billed_by
),

both_sides as (
    select
        coalesce(billed.billing_period, charged.billing_period) as billing_period,
        coalesce(billed.billed_by, charged.billed_by) as billed_by,
        coalesce(billed.billed_cost, 0)::decimal(38, 20) as billed_cost,
        coalesce(billed.prepaid_bought, 0)::decimal(38, 20) as prepaid_bought,
        coalesce(billed.prepaid_drawn, 0)::decimal(38, 20) as prepaid_drawn,
        coalesce(billed.on_prem, 0)::decimal(38, 20) as on_prem,
        coalesce(billed.provider_rounding, 0)::decimal(38, 20) as provider_rounding,
        coalesce(rounded.rounding, 0)::decimal(38, 20) as rounding,
        coalesce(charged.estimated_cost, 0)::decimal(38, 20) as estimated_cost,
        coalesce(charged.charged_cost, 0)::decimal(38, 20) as charged_cost,
        coalesce(billed.row_count, 0) + coalesce(charged.row_count, 0) as rows_compared,
        coalesce(billed.currency_code, charged.currency_code) as currency_code
    from billed
    full join charged on billed.billing_period = charged.billing_period and billed.billed_by = charged.billed_by
    left join rounded on billed.billing_period = rounded.billing_period and billed.billed_by = rounded.billed_by
),

terms as (
    {%- for term, cost in {
        'billed': 'billed_cost',
        'prepaid_bought': 'prepaid_bought',
        'prepaid_drawn': 'prepaid_drawn',
        'on_prem': 'on_prem',
        'provider_rounding': 'provider_rounding',
        'estimated_accrual': 'estimated_cost',
        'rounding': 'rounding',
        'charged': 'charged_cost',
        'remainder': '(billed_cost + prepaid_bought + prepaid_drawn + on_prem + provider_rounding + estimated_cost + rounding - charged_cost)'
            '::decimal(38, 20)',
    }.items() %}
    select billing_period, billed_by, {{ loop.index }} as term_order, '{{ term }}' as term, {{ cost }} as cost, currency_code, rows_compared
    from both_sides
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    billing_period,
    billed_by,
    term_order,
    term,
    cost,
    currency_code,
    rows_compared
from terms
