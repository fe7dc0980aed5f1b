-- One row per invoice that was delivered or that lines name, newest first; lines without an invoice, one row a period and account.
select
    billing_period, invoice_issuer_name, invoice_id, billing_currency, invoiced_cost, lines_cost, rounding_cost, delta_cost, status
from finance.fct_invoice_tie_out
order by case when status in ('differs', 'no_lines', 'no_invoice') then 0 else 1 end, billing_period desc, invoice_issuer_name, invoice_id
