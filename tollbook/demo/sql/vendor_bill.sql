-- The vendor's bill of the day: tokens times price, by hour, model and kind of token.
with counted as (
    select
        hour,
        model,
        sum(fresh_tokens) as fresh_tokens,
        sum(cached_tokens) as cached_tokens,
        sum(output_tokens) as output_tokens
    from token_hours
    where provider = 'Lumen AI' and day = getvariable('day')
    group by all
),

lines as (
    select
        hour, model, token_kind, price_per_million,
        case token_kind when 'input' then fresh_tokens when 'cached_input' then cached_tokens else output_tokens end::decimal(18, 0)
            as tokens,
        usd(tokens * price_per_million * 0.000001) as cost
    from counted
    inner join prices using (model)
    order by hour, model, token_kind
)

from focus_columns

union all by name

select
    of_the_day.*,
    'lumen-88' as BillingAccountId,
    'lumen-88-main' as SubAccountId,
    moment((getvariable('day') * 24 + hour) * 3600) as ChargePeriodStart,
    moment((getvariable('day') * 24 + hour + 1) * 3600) as ChargePeriodEnd,
    'Usage' as ChargeCategory,
    model || ', ' || token_kind || ' tokens' as ChargeDescription,
    'Usage-Based' as ChargeFrequency,
    cost as BilledCost,
    cost as EffectiveCost,
    cost as ListCost,
    cost as ContractedCost,
    'Standard' as PricingCategory,
    usd(tokens * 0.000001) as PricingQuantity,
    '1000000 Tokens' as PricingUnit,
    usd(tokens) as ConsumedQuantity,
    'Tokens' as ConsumedUnit,
    usd(price_per_million) as ListUnitPrice,
    'Lumen API' as ServiceName,
    'AI and Machine Learning' as ServiceCategory,
    model || '-' || token_kind as SkuId,
    SkuId || '-price' as SkuPriceId,
    '{"ModelId": "' || model || '", "TokenType": "' || token_kind || '"}' as SkuPriceDetails,
    '{"team": "platform", "environment": "production"}' as Tags
from lines, of_the_day('Lumen AI', 'LA') as of_the_day
