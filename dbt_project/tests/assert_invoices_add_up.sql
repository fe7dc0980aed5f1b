-- An invoice whose amount is not its lines, the rounding and the difference; or lines that are in no row, or in two.
select invoice_issuer_name, invoice_id, invoiced_cost, lines_cost
from {{ ref('fct_invoice_tie_out') }}
where
    invoice_row_count > 0
    and invoiced_cost <> coalesce(lines_cost, 0) + coalesce(rounding_cost, 0) + delta_cost

union all

select 'all lines', null, lines.line_count, tied.line_count
from (
    select count(*) as line_count
    from {{ ref('fct_charges') }} as charges
    left join {{ source('config', 'sources') }} as sources on charges.source_name = sources.source_name
    where not coalesce(sources.is_own, false)
) as lines
cross join (select coalesce(sum(line_count), 0) as line_count from {{ ref('fct_invoice_tie_out') }}) as tied
where lines.line_count <> tied.line_count
