-- One row per bill and billing period: how final it is. A period is final when its issuer says it is closed or all its lines stand on
-- an invoice; until then deliveries may still replace it. Own ledgers have no invoice: their state is NULL.
with stated as (
    select
        invoice_issuer_name,
        date_trunc('month', billing_period_start)::date as billing_period,
        max_by(status, coalesce(updated_at, created_at, billing_period_start)) as stated_status
    from {{ source('raw', 'billing_periods') }}
    group by invoice_issuer_name, date_trunc('month', billing_period_start)::date
),

lines as (
    select
        charges.billed_by,
        charges.billing_period,
        max(charges.invoice_issuer_name) as invoice_issuer_name,
        bool_and(coalesce(sources.is_own, false)) as is_own,
        count(*) as line_count,
        count(*) - count(charges.invoice_id) as lines_without_invoice,
        sum(charges.reporting_billed_cost) as billed_cost,
        sum(case when charges.invoice_id is null then charges.reporting_billed_cost else 0 end) as cost_without_invoice,
        charges.currency_code
    from {{ ref('fct_charges') }} as charges
    left join {{ source('config', 'sources') }} as sources on charges.source_name = sources.source_name
    group by charges.billed_by, charges.billing_period, charges.currency_code
)

select
    lines.billed_by,
    lines.billing_period,
    stated.stated_status,
    case
        when lines.is_own then null
        when lower(stated.stated_status) = 'closed' then 'final'
        when stated.stated_status is not null then 'open'
        when lines.lines_without_invoice = 0 then 'final'
        else 'open'
    end as state,
    lines.line_count,
    lines.lines_without_invoice,
    lines.billed_cost::decimal(38, 20) as billed_cost,
    lines.cost_without_invoice::decimal(38, 20) as cost_without_invoice,
    lines.currency_code
from lines
left join stated
    on lines.billing_period = stated.billing_period
    and (lines.invoice_issuer_name = stated.invoice_issuer_name or lines.billed_by = stated.invoice_issuer_name)
