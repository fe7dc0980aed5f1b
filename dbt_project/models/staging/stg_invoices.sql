-- One row per row of an invoice, every delivered digit: what is void counts as nothing owed, nothing dropped or converted.
select
    invoices.*,
    date_trunc('month', invoices.billing_period_start)::date as billing_period,
    invoices.invoice_detail_id is null as is_total,
    coalesce(lower(invoices.status) = 'voided', false) as is_voided,
    -- an invoice that names itself corrects no other
    nullif(invoices.reference_invoice_id, invoices.invoice_id) as corrects_invoice_id,
    case when lower(invoices.status) = 'voided' then 0 else invoices.billed_cost end::decimal(38, 20) as owed_cost
from {{ source('raw', 'invoices') }} as invoices
