-- One row per bill and commitment, over its term as far as it is loaded: what was paid, what usage took, what lay unused, what it
-- saved. Over the whole term the effective cost of usage is the billed cost of the purchase: `open_amount`, in the billing currency, is
-- then 0, and what is left in the reporting currency is an exchange difference.
with totals as (
    select
        billed_by, commitment_kind, commitment_id, max(commitment_type) as commitment_type,
        sum(purchased_cost) as purchased_cost,
        sum(used_cost) as used_cost,
        sum(unused_cost) as unused_cost,
        sum(unstated_cost) as unstated_cost,
        sum(purchased_cost) + sum(usage_billed_cost) - sum(purchase_effective_cost) - sum(used_cost) - sum(unused_cost)
            - sum(unstated_cost) as open_cost,
        case when count(covered_list_cost) = count(*) then sum(covered_list_cost) end as covered_list_cost,
        sum(line_count)::bigint as line_count,
        currency_code
    from {{ ref('fct_commitment_days') }}
    group by billed_by, commitment_kind, commitment_id, currency_code
),

open_amounts as (
    select
        billed_by, 'commitment_discount' as commitment_kind, commitment_discount_id as commitment_id, currency_code,
        sum(billed_cost - effective_cost) as open_amount,
        min(billing_currency) as billing_currency,
        count(distinct billing_currency) as currency_count
    from {{ ref('fct_charges') }}
    where commitment_discount_id is not null
    group by billed_by, commitment_discount_id, currency_code
    union all
    select
        billed_by, 'capacity_reservation', capacity_reservation_id, currency_code,
        sum(billed_cost - effective_cost), min(billing_currency), count(distinct billing_currency)
    from {{ ref('fct_charges') }}
    where capacity_reservation_id is not null
    group by billed_by, capacity_reservation_id, currency_code
),

-- a purchase at once covers its charge period; of instalments nobody knows how many are still to come
bought as (
    select
        billed_by, commitment_discount_id as commitment_id,
        min(charge_period_start) as term_started_at,
        case when bool_and(coalesce(charge_frequency, 'One-Time') = 'One-Time') then max(charge_period_end) end as term_ended_at,
        bool_and(charge_frequency is not null) as states_frequency,
        bool_or(charge_frequency = 'One-Time') as has_one_time,
        bool_or(charge_frequency <> 'One-Time') as has_recurring
    from {{ ref('fct_charges') }}
    where commitment_discount_id is not null and charge_category = 'Purchase'
    group by billed_by, commitment_discount_id
),

contracted as (
    select
        coalesce(provider, invoice_issuer_name) as billed_by, commitment_id,
        min(commitment_started_at) as term_started_at, max(commitment_ended_at) as term_ended_at
    from {{ ref('stg_contracts__commitments') }}
    group by coalesce(provider, invoice_issuer_name), commitment_id
),

termed as (
    select
        totals.*,
        open_amounts.open_amount,
        case when open_amounts.currency_count = 1 then open_amounts.billing_currency end as billing_currency,
        coalesce(contracted.term_started_at, bought.term_started_at) as term_started_at,
        coalesce(contracted.term_ended_at, bought.term_ended_at) as term_ended_at,
        case
            when not bought.states_frequency then null
            when bought.has_one_time and bought.has_recurring then 'Partial Upfront'
            when bought.has_one_time then 'All Upfront'
            when bought.has_recurring then 'No Upfront'
        end as payment_model
    from totals
    left join bought on totals.billed_by = bought.billed_by and totals.commitment_id = bought.commitment_id
    left join contracted
        on totals.commitment_id = contracted.commitment_id
        and coalesce(contracted.billed_by, totals.billed_by) = totals.billed_by
    inner join open_amounts
        on totals.billed_by = open_amounts.billed_by and totals.commitment_kind = open_amounts.commitment_kind
        and totals.commitment_id = open_amounts.commitment_id and totals.currency_code = open_amounts.currency_code
)

select
    termed.billed_by,
    termed.commitment_kind,
    termed.commitment_id,
    termed.commitment_type,
    termed.payment_model,
    termed.term_started_at,
    termed.term_ended_at,
    case
        when termed.term_ended_at is null then 'unknown_term'
        when termed.term_ended_at > horizon.horizon_at then 'running'
        when abs(termed.open_amount) < 0.01 then 'settled'
        else 'unsettled'
    end as status,
    termed.purchased_cost::decimal(38, 20) as purchased_cost,
    termed.used_cost::decimal(38, 20) as used_cost,
    termed.unused_cost::decimal(38, 20) as unused_cost,
    termed.unstated_cost::decimal(38, 20) as unstated_cost,
    termed.open_amount::decimal(38, 20) as open_amount,
    termed.billing_currency,
    termed.open_cost::decimal(38, 20) as open_cost,
    case when termed.open_amount = 0 then termed.open_cost end::decimal(38, 20) as exchange_difference_cost,
    termed.used_cost::double / nullif((termed.used_cost + termed.unused_cost)::double, 0) as utilisation_ratio,
    termed.covered_list_cost::decimal(38, 20) as covered_list_cost,
    (termed.covered_list_cost - termed.used_cost - termed.unused_cost)::decimal(38, 20) as saving_cost,
    -- the utilisation below which buying on demand would have cost less
    termed.used_cost::double / nullif(termed.covered_list_cost::double, 0) as break_even_ratio,
    termed.line_count,
    termed.currency_code
from termed
cross join {{ source('meta', 'horizon') }} as horizon
