-- One row per issuer, invoice and billing currency (and billing period, where the invoice spans several): what the invoice says
-- beside what its lines say. invoiced_cost = lines_cost + rounding_cost + delta_cost. Lines without an invoice: one row per period.
with issued as (
    select *, case when spans_periods then billing_period else date '0001-01-01' end as part
    from {{ ref('int_invoices__issued') }}
),

spanning as (select distinct invoice_issuer_name, invoice_id, billing_currency, spans_periods from issued),

-- the invoice rounds what it states: each detail where all its lines name one, else the sum
by_detail as (
    select
        lines.invoice_issuer_name,
        lines.invoice_id,
        lines.billing_currency,
        case
            when lines.invoice_id is null or spanning.spans_periods then lines.billing_period else date '0001-01-01'
        end as part,
        lines.invoice_detail_id,
        min(lines.billing_period) as billing_period,
        bool_and(details.invoice_detail_id is not null) as is_known,
        sum(lines.lines_cost) as lines_cost,
        sum(lines.line_count) as line_count
    from {{ ref('int_invoices__lines') }} as lines
    left join spanning
        on lines.invoice_issuer_name = spanning.invoice_issuer_name and lines.invoice_id = spanning.invoice_id
        and lines.billing_currency = spanning.billing_currency
    left join (
        select distinct invoice_issuer_name, invoice_id, billing_currency, invoice_detail_id from {{ ref('stg_invoices') }}
    ) as details
        on lines.invoice_issuer_name = details.invoice_issuer_name and lines.invoice_id = details.invoice_id
        and lines.billing_currency = details.billing_currency and lines.invoice_detail_id = details.invoice_detail_id
    group by 1, 2, 3, 4, 5
),

lines as (
    select
        invoice_issuer_name,
        invoice_id,
        billing_currency,
        part,
        min(billing_period) as billing_period,
        sum(lines_cost)::decimal(38, 20) as lines_cost,
        case
            when bool_and(is_known) then sum({{ round_to_coin('lines_cost', 'billing_currency') }})
            else {{ round_to_coin('sum(lines_cost)', 'billing_currency') }}
        end as rounded_cost,
        sum(line_count) as line_count
    from by_detail
    group by 1, 2, 3, 4
),

issuers as (
    select invoice_issuer_name, count(distinct invoice_id) as issuer_invoice_count from {{ ref('stg_invoices') }} group by 1
),

compared as (
    select
        coalesce(issued.invoice_issuer_name, lines.invoice_issuer_name) as invoice_issuer_name,
        coalesce(issued.invoice_id, lines.invoice_id) as invoice_id,
        coalesce(issued.billing_currency, lines.billing_currency) as billing_currency,
        coalesce(issued.billing_period, lines.billing_period) as billing_period,
        issued.* exclude (invoice_issuer_name, invoice_id, billing_currency, billing_period),
        lines.lines_cost,
        lines.line_count,
        case
            when coalesce(issued.invoiced_cost, lines.lines_cost) = lines.lines_cost then 0 else lines.rounded_cost - lines.lines_cost
        end::decimal(38, 20) as rounding_cost
    from issued
    full join lines
        on issued.invoice_issuer_name = lines.invoice_issuer_name and issued.invoice_id = lines.invoice_id
        and issued.billing_currency = lines.billing_currency and issued.part = lines.part
),

netted as (
    select
        compared.*,
        coalesce(compared.invoiced_cost, 0) - coalesce(compared.lines_cost + compared.rounding_cost, 0) as delta_cost,
        case when compared.has_total then compared.invoiced_cost - compared.details_cost end as details_delta_cost,
        case
            when row_number() over (
                partition by compared.invoice_issuer_name, compared.invoice_id, compared.billing_currency
                order by compared.billing_period
            ) = 1 then corrections.corrected_by_cost
        end as corrected_by_cost
    from compared
    left join {{ ref('int_invoices__corrections') }} as corrections
        on compared.invoice_issuer_name = corrections.invoice_issuer_name
        and compared.invoice_id = corrections.corrects_invoice_id
        and compared.billing_currency = corrections.billing_currency
)

select
    netted.invoice_issuer_name,
    netted.invoice_id,
    netted.billing_currency,
    netted.billing_period,
    case
        when netted.invoice_id is null then 'open'
        when netted.invoice_row_count is null then 'no_invoice'
        when netted.delta_cost = 0 and coalesce(netted.details_delta_cost, 0) = 0 then 'tied'
        when lower(netted.invoice_status) = 'open' then 'open'
        when netted.line_count is null then 'no_lines'
        else 'differs'
    end as status,
    netted.invoiced_cost,
    netted.lines_cost,
    netted.rounding_cost,
    case when netted.invoice_id is not null then netted.delta_cost end::decimal(38, 20) as delta_cost,
    netted.details_cost::decimal(38, 20) as details_cost,
    netted.details_delta_cost::decimal(38, 20) as details_delta_cost,
    netted.voided_cost,
    netted.reference_invoice_id,
    netted.corrected_by_cost::decimal(38, 20) as corrected_by_cost,
    (coalesce(netted.invoiced_cost, netted.lines_cost) + coalesce(netted.corrected_by_cost, 0))::decimal(38, 20) as net_cost,
    netted.payment_cost::decimal(38, 20) as payment_cost,
    netted.payment_currency,
    netted.billing_account_id,
    netted.invoice_status,
    netted.issued_at,
    netted.due_at,
    coalesce(netted.invoice_row_count, 0)::bigint as invoice_row_count,
    coalesce(netted.line_count, 0)::bigint as line_count,
    coalesce(issuers.issuer_invoice_count, 0)::bigint as issuer_invoice_count
from netted
left join issuers on netted.invoice_issuer_name = issuers.invoice_issuer_name
