-- One row per invoice and billing currency, and per billing period where its deciding rows span several. Where the issuer states
-- a total, the total decides what is owed, else the sum of the details; both are kept.
{{ config(materialized='view') }}

with deciding as (
    select
        *,
        is_total or not bool_or(is_total) over (partition by invoice_issuer_name, invoice_id, billing_currency) as decides
    from {{ ref('stg_invoices') }}
),

spans as (
    select
        *,
        min(billing_period) filter (where decides) over invoice as first_period,
        min(billing_period) filter (where decides) over invoice <> max(billing_period) filter (where decides) over invoice
            as spans_periods
    from deciding
    window invoice as (partition by invoice_issuer_name, invoice_id, billing_currency)
)

select
    invoice_issuer_name,
    invoice_id,
    billing_currency,
    case when spans_periods then billing_period else first_period end as billing_period,
    spans_periods,
    min(billing_period_start) as billing_period_start,
    max(billing_period_end) as billing_period_end,
    min(billing_account_id) as billing_account_id,
    case when count(distinct lower(status)) = 1 then max(status) when count(status) > 0 then 'mixed' end as invoice_status,
    min(issued_at) as issued_at,
    min(due_at) as due_at,
    bool_or(is_total) as has_total,
    coalesce(sum(owed_cost) filter (where decides), 0)::decimal(38, 20) as invoiced_cost,
    sum(owed_cost) filter (where not is_total) as details_cost,
    coalesce(sum(billed_cost) filter (where decides and is_voided), 0)::decimal(38, 20) as voided_cost,
    case when count(distinct payment_currency) = 1 then max(payment_currency) end as payment_currency,
    -- two currencies of payment have no sum
    case
        when count(distinct payment_currency) <= 1
            then coalesce(sum(payment_cost) filter (where decides and not is_voided), sum(payment_cost) filter (where not is_voided))
    end as payment_cost,
    string_agg(distinct corrects_invoice_id, ', ' order by corrects_invoice_id) as reference_invoice_id,
    count(*) as invoice_row_count
from spans
group by all
