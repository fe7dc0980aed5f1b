-- The own servers' ledger of the day: what each used up, and electricity apart where the ledger knows it. No invoice: billed 0.
with lines as (
    select
        pool, number, 1 as place, gpu_model || ' server: depreciation and space' as ChargeDescription,
        usd((price - case when pool = 'a100' then 100 else 0 end) * 0.6912) as EffectiveCost,
        'server-' || pool as SkuId, resource_id as ResourceId, '{"team": "platform", "environment": "production"}' as Tags
    from nodes
    where is_own

    union all

    select pool, number, 2, 'Electricity', usd(100 * 0.6912), 'power', resource_id, null
    from nodes
    where pool = 'a100'
)

from focus_columns

union all by name

select
    lines.* exclude (pool, number, place),
    of_the_day.*,
    'ledger' as BillingAccountId,
    'dc-1' as SubAccountId,
    charge_day()::timestamp as ChargePeriodStart,
    charge_day()::timestamp + interval 1 day as ChargePeriodEnd,
    'Usage' as ChargeCategory,
    'Recurring' as ChargeFrequency,
    usd(0) as BilledCost,
    EffectiveCost as ListCost,
    EffectiveCost as ContractedCost,
    'Standard' as PricingCategory,
    'Own GPU servers' as ServiceName,
    'Compute' as ServiceCategory,
    SkuId || '-price' as SkuPriceId,
    ResourceId as ResourceName,
    'Server' as ResourceType,
    'dc-1' as RegionId
from (from lines order by pool, number, place) as lines, of_the_day('Own datacentre', null::varchar) as of_the_day
