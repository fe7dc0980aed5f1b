-- The billing lines as invoices see them: one row per issuer, invoice, currency, billing period and invoice detail (and the names
-- that the lines themselves give), with who the invoice's issuer is. A line's issuer is its InvoiceIssuerName; where an invoice of that number is known only under the name
-- that bills (billed_by), that. What the workspace itself keeps as its ledger is nobody's invoice.
{{ config(materialized='table') }}

with lines as (
    select
        coalesce(charges.invoice_issuer_name, charges.billed_by) as named_issuer,
        charges.billed_by,
        charges.invoice_id,
        charges.invoice_detail_id,
        charges.reference_invoice_id,
        charges.billing_currency,
        charges.billing_period,
        sum(charges.billed_cost) as lines_cost,
        count(*) as line_count
    from {{ ref('fct_charges') }} as charges
    left join {{ source('config', 'sources') }} as sources on charges.source_name = sources.source_name
    where not coalesce(sources.is_own, false)
    group by all
),

issuers as (select distinct invoice_issuer_name, invoice_id from {{ ref('stg_invoices') }})

select
    case
        when named.invoice_id is null and billing.invoice_id is not null then lines.billed_by else lines.named_issuer
    end as invoice_issuer_name,
    lines.named_issuer,
    lines.billed_by,
    lines.invoice_id,
    lines.invoice_detail_id,
    nullif(lines.reference_invoice_id, lines.invoice_id) as corrects_invoice_id,
    lines.billing_currency,
    lines.billing_period,
    sum(lines.lines_cost)::decimal(38, 20) as lines_cost,
    sum(lines.line_count)::bigint as line_count
from lines
left join issuers as named on lines.named_issuer = named.invoice_issuer_name and lines.invoice_id = named.invoice_id
left join issuers as billing on lines.billed_by = billing.invoice_issuer_name and lines.invoice_id = billing.invoice_id
group by all
