-- One row per billing line, every delivered digit: named parties and dates made out, the specification's words in its spelling,
-- nothing dropped. Pricing-currency amounts are the bill's own where it states them, else unit price times quantity; what was billed in
-- the pricing currency is known where nothing was, or as much as the effective cost.
with lines as (
    select
        * replace (
            {{ known_word('charge_category',
                {'usage': 'Usage', 'purchase': 'Purchase', 'tax': 'Tax', 'credit': 'Credit', 'adjustment': 'Adjustment'}) }} as charge_category,
            {{ known_word('charge_class', {'correction': 'Correction'}) }} as charge_class,
            -- the older words are of FOCUS 0.5
            {{ known_word('pricing_category', {'standard': 'Standard', 'committed': 'Committed', 'dynamic': 'Dynamic', 'other': 'Other',
                'on-demand': 'Standard', 'commitment-based': 'Committed'}) }} as pricing_category,
            {{ known_word('commitment_discount_status', {'used': 'Used', 'unused': 'Unused'}) }} as commitment_discount_status,
            {{ known_word('capacity_reservation_status', {'used': 'Used', 'unused': 'Unused'}) }} as capacity_reservation_status
        ),
        pricing_currency = billing_currency as is_one_currency,
        case
            when pricing_currency is null or pricing_currency = billing_currency then null
            when billed_cost = 0 then 0
            when billed_cost = effective_cost then pricing_currency_effective_cost
        end as pricing_billed_elsewhere
    from {{ source('raw', 'billing_lines') }}
)

select
    lines.* exclude (is_one_currency, pricing_billed_elsewhere),
    coalesce(lines.provider_name, lines.service_provider_name, lines.invoice_issuer_name, lines.source_name) as billed_by,
    lines.charge_period_start::date as charge_date,
    -- a period that starts at a local midnight starts on another day in UTC, up to 14 hours before or 12 after: it is the local month's
    date_trunc('month', lines.billing_period_start + interval 14 hour)::date as billing_period,
    (lines.billing_period_start + interval 14 hour)::date as billed_from_date,
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
    ) as model,
    -- provisioned throughput is billed by the hour, whether or not anyone asks anything of it
    coalesce(
        {{ service_tier(json_field('lines.sku_price_details', 'ServiceTier')) }},
        {{ service_tier(json_field('lines.tags', 'service_tier')) }},
        case when regexp_matches(lower(concat_ws(' ', lines.sku_meter, lines.charge_description)), 'provisioned|\bptu') then 'provisioned' end
    ) as service_tier,
    (case when is_one_currency then lines.billed_cost else lines.pricing_billed_elsewhere end)::decimal(38, 20) as pricing_billed_cost,
    case when is_one_currency then lines.effective_cost else lines.pricing_currency_effective_cost end as pricing_effective_cost,
    case
        when is_one_currency then lines.list_cost
        else {{ price_times_quantity('lines.pricing_currency_list_unit_price', 'lines.pricing_quantity') }}
    end as pricing_list_cost,
    case
        when is_one_currency then lines.contracted_cost
        else {{ price_times_quantity('lines.pricing_currency_contracted_unit_price', 'lines.pricing_quantity') }}
    end as pricing_contracted_cost
from lines
