-- One row per issuer that delivered an invoice: how many of its invoices do not tie out with their lines, in decimals. Lines
-- without an invoice and provisional invoices are not final, so they differ from nothing yet.
with compared as (
    select
        *,
        greatest(abs(coalesce(delta_cost, 0)), abs(coalesce(details_delta_cost, 0))) as size
    from finance.fct_invoice_tie_out
    where issuer_invoice_count > 0 and status <> 'open'
)

select
    invoice_issuer_name,
    count(*) as invoices,
    (sum(invoice_row_count) + sum(line_count))::bigint as rows_compared,
    count(*) filter (where status <> 'tied') as differing,
    count(*) filter (where status <> 'tied' and size > $warn_above::decimal(38, 20)) as beyond_warn,
    count(*) filter (where status <> 'tied' and size > $error_above::decimal(38, 20)) as beyond_error,
    arg_max(invoice_id, size) as worst_invoice,
    arg_max(coalesce(nullif(delta_cost, 0), details_delta_cost)::varchar, size) as worst_delta,
    arg_max(status, size) as worst_status,
    arg_max(billing_currency, size) as worst_currency
from compared
group by invoice_issuer_name
order by invoice_issuer_name
