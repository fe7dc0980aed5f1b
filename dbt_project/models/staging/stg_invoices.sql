-- One row per row of an invoice, every delivered digit, nothing converted. A total or a detail that is delivered again, as it is when
-- the status changes, counts as its newest delivery states it: by issue date, then by arrival. What is void counts as nothing owed.
with invoices as (
    select
        invoices.*,
        lower(trim(invoices.status)) in ('void', 'voided', 'cancelled', 'canceled') as is_void,
        max(invoices.issued_at) over (
            partition by invoices.source_name, invoices.delivery_id, invoices.file_name, invoices.invoice_issuer_name, invoices.invoice_id
        ) as stated_at,
        deliveries.delivered_at
    from {{ source('raw', 'invoices') }} as invoices
    left join (
        select source_name, delivery_id, max(delivered_at) as delivered_at
        from {{ source('meta', 'deliveries') }}
        where is_current
        group by source_name, delivery_id
    ) as deliveries on invoices.source_name = deliveries.source_name and invoices.delivery_id = deliveries.delivery_id
),

ranked as (
    select
        *,
        dense_rank() over (
            partition by invoice_issuer_name, invoice_id, invoice_detail_id, billing_currency, date_trunc('month', billing_period_start)
            order by stated_at desc nulls last, delivered_at desc, source_name, delivery_id
        ) as newest
    from invoices
)

select
    ranked.* exclude (is_void, stated_at, delivered_at, newest),
    date_trunc('month', billing_period_start)::date as billing_period,
    invoice_detail_id is null as is_total,
    coalesce(is_void, false) as is_voided,
    -- an invoice that names itself corrects no other
    nullif(reference_invoice_id, invoice_id) as corrects_invoice_id,
    case when is_void then 0 else billed_cost end::decimal(38, 20) as owed_cost
from ranked
where newest = 1
