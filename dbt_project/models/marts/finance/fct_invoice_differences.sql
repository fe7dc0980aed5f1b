-- What keeps invoices and their lines from tying out, one by one. Of many charges the 1,000 largest stand alone; the rest of the
-- same invoice or period is one row, so that nothing is left out of the sums.
with issued as (
    select * from {{ ref('stg_invoices') }}
),

tie_out as (
    select * from {{ ref('fct_invoice_tie_out') }}
),

issuers as (
    select distinct invoice_issuer_name, named_issuer, billed_by, invoice_id from {{ ref('int_invoices__lines') }}
),

-- charges that miss something: their invoice is not there, or they name none while their account and period has one
charges as (
    select
        case when charges.invoice_id is null then 'line_without_invoice' else 'line_of_unknown_invoice' end as difference,
        issuers.invoice_issuer_name,
        charges.*,
        row_number() over (
            partition by issuers.invoice_issuer_name, charges.invoice_id, charges.billing_currency, charges.billing_period
            order by abs(charges.billed_cost) desc, charges.source_name, charges.file_name, charges.file_row
        ) <= 1000 as stands_alone
    from (
        select
            coalesce(lines.invoice_issuer_name, lines.billed_by) as named_issuer,
            lines.billed_by, lines.invoice_id, lines.billing_account_id, lines.billing_currency, lines.billing_period,
            lines.billed_cost, lines.source_name, lines.file_name, lines.file_row
        from {{ ref('fct_charges') }} as lines
        left join {{ source('config', 'sources') }} as sources on lines.source_name = sources.source_name
        where not coalesce(sources.is_own, false) and lines.billed_cost <> 0
    ) as charges
    inner join issuers
        on charges.named_issuer = issuers.named_issuer and charges.billed_by = issuers.billed_by
        and charges.invoice_id is not distinct from issuers.invoice_id
    where
        exists (
            select 1 from issued
            where
                charges.invoice_id is null
                and issued.invoice_issuer_name = issuers.invoice_issuer_name and issued.billing_period = charges.billing_period
                and coalesce(issued.billing_account_id = charges.billing_account_id, true)
        )
        or exists (
            select 1 from tie_out
            where
                tie_out.status = 'no_invoice' and tie_out.issuer_invoice_count > 0
                and tie_out.invoice_issuer_name = issuers.invoice_issuer_name and tie_out.invoice_id = charges.invoice_id
                and tie_out.billing_currency = charges.billing_currency
        )
),

details as (
    select * from {{ ref('int_invoices__details') }}
),

found as (
    select
        difference, invoice_issuer_name, invoice_id, null as invoice_detail_id, billing_currency, billing_period, billing_account_id,
        null as invoiced_cost, sum(billed_cost) as lines_cost, count(*) as line_count,
        case when stands_alone then source_name end as source_name,
        case when stands_alone then file_name end as file_name,
        case when stands_alone then file_row end as file_row
    from charges
    group by all

    union all

    select
        case
            when line_count is null then 'detail_without_lines'
            when invoiced_cost is null then 'lines_of_unknown_detail'
            else 'detail_differs'
        end,
        invoice_issuer_name, invoice_id, invoice_detail_id, billing_currency, billing_period, null,
        invoiced_cost, lines_cost, line_count, null, null, null
    from details
    where
        coalesce(invoiced_cost, 0) <> coalesce(lines_cost, 0)
        and coalesce(invoiced_cost, 0) <> coalesce({{ round_to_coin('lines_cost', 'billing_currency') }}, 0)

    union all

    select
        case when status = 'no_lines' then 'invoice_without_lines' else 'invoice_differs' end,
        invoice_issuer_name, invoice_id, null, billing_currency, billing_period, billing_account_id,
        invoiced_cost, lines_cost, line_count, null, null, null
    from tie_out
    where
        invoice_row_count > 0 and delta_cost <> 0
        and not exists (
            select 1 from details
            where
                details.invoice_issuer_name = tie_out.invoice_issuer_name and details.invoice_id = tie_out.invoice_id
                and details.billing_currency = tie_out.billing_currency
        )

    union all

    select
        'details_differ_from_total',
        invoice_issuer_name, invoice_id, null, billing_currency, billing_period, billing_account_id,
        invoiced_cost, details_cost, invoice_row_count, null, null, null
    from tie_out
    where details_delta_cost <> 0
)

select
    found.difference,
    found.invoice_issuer_name,
    found.invoice_id,
    found.invoice_detail_id,
    found.billing_currency,
    found.billing_period,
    found.billing_account_id,
    found.invoiced_cost::decimal(38, 20) as invoiced_cost,
    found.lines_cost::decimal(38, 20) as lines_cost,
    (coalesce(found.invoiced_cost, 0) - coalesce(found.lines_cost, 0))::decimal(38, 20) as difference_cost,
    coalesce(found.line_count, 0)::bigint as line_count,
    found.source_name,
    found.file_name,
    found.file_row::bigint as file_row,
    case
        when found.difference in ('invoice_without_lines', 'line_of_unknown_invoice') then (
            select min(other.invoice_issuer_name || ', ' || other.billing_currency) from tie_out as other
            where
                other.invoice_id = found.invoice_id
                and (other.invoice_issuer_name <> found.invoice_issuer_name or other.billing_currency <> found.billing_currency)
        )
    end as same_number_of
from found
