-- One row per detail of an invoice whose lines name details: what the invoice says of it beside what its lines say. A detail that
-- only one side knows has NULL on the other.
{{ config(materialized='view') }}

select
    coalesce(said.invoice_issuer_name, lines.invoice_issuer_name) as invoice_issuer_name,
    coalesce(said.invoice_id, lines.invoice_id) as invoice_id,
    coalesce(said.billing_currency, lines.billing_currency) as billing_currency,
    coalesce(said.invoice_detail_id, lines.invoice_detail_id) as invoice_detail_id,
    coalesce(said.billing_period, lines.billing_period) as billing_period,
    said.invoiced_cost,
    lines.lines_cost,
    lines.line_count
from (
    select
        invoice_issuer_name, invoice_id, billing_currency, invoice_detail_id,
        min(billing_period) as billing_period, sum(owed_cost) as invoiced_cost
    from {{ ref('stg_invoices') }}
    where not is_total
    group by 1, 2, 3, 4
) as said
full join (
    select
        invoice_issuer_name, invoice_id, billing_currency, invoice_detail_id,
        min(billing_period) as billing_period, sum(lines_cost) as lines_cost, sum(line_count) as line_count
    from {{ ref('int_invoices__lines') }}
    where invoice_id is not null
    group by 1, 2, 3, 4
) as lines
    on said.invoice_issuer_name = lines.invoice_issuer_name and said.invoice_id = lines.invoice_id
    and said.billing_currency = lines.billing_currency and said.invoice_detail_id = lines.invoice_detail_id
where
    exists (
        select 1 from {{ ref('int_invoices__lines') }} as named
        where
            named.invoice_detail_id is not null and named.invoice_id = coalesce(said.invoice_id, lines.invoice_id)
            and named.invoice_issuer_name = coalesce(said.invoice_issuer_name, lines.invoice_issuer_name)
    )
    and exists (
        select 1 from {{ ref('stg_invoices') }} as issued
        where
            not issued.is_total and issued.invoice_id = coalesce(said.invoice_id, lines.invoice_id)
            and issued.invoice_issuer_name = coalesce(said.invoice_issuer_name, lines.invoice_issuer_name)
            and issued.billing_currency = coalesce(said.billing_currency, lines.billing_currency)
    )
