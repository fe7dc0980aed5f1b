-- One row per billing line, every delivered digit: named parties and dates made out, nothing dropped or converted.
select
    lines.*,
    coalesce(lines.provider_name, lines.service_provider_name, lines.invoice_issuer_name, lines.source_name) as billed_by,
    lines.charge_period_start::date as charge_date,
    date_trunc('month', lines.billing_period_start)::date as billing_period,
    -- a charge accrues over its charge period, but no further than the billing period that bills it
    case
        when lines.billing_period_end > lines.charge_period_start
            then least(lines.charge_period_end, lines.billing_period_end)
        else lines.charge_period_end
    end as accrues_until_at,
    coalesce(
        {{ json_field('lines.sku_price_details', 'ModelId') }},
        {{ json_field('lines.sku_price_details', 'model') }},
        {{ json_field('lines.tags', 'model') }}
    ) as model
from {{ source('raw', 'billing_lines') }} as lines
