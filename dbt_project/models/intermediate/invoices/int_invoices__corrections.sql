-- One row per invoice that other invoices correct, and currency: what they take back of it (negative) or add to it. What an
-- invoice refers to is said by its own rows, else by its billing lines.
{{ config(materialized='view') }}

with references_of_invoices as (
    select
        *,
        is_total or not bool_or(is_total) over (partition by invoice_issuer_name, invoice_id, billing_currency) as decides
    from {{ ref('stg_invoices') }}
    where corrects_invoice_id is not null
),

parts as (
    select invoice_issuer_name, corrects_invoice_id, billing_currency, owed_cost as part_cost
    from references_of_invoices
    where decides

    union all

    select lines.invoice_issuer_name, lines.corrects_invoice_id, lines.billing_currency, lines.lines_cost as part_cost
    from {{ ref('int_invoices__lines') }} as lines
    left join (select distinct invoice_issuer_name, invoice_id from references_of_invoices) as known
        on lines.invoice_issuer_name = known.invoice_issuer_name and lines.invoice_id = known.invoice_id
    where lines.corrects_invoice_id is not null and known.invoice_id is null
)

select
    invoice_issuer_name,
    corrects_invoice_id,
    billing_currency,
    sum(part_cost)::decimal(38, 20) as corrected_by_cost
from parts
group by 1, 2, 3
