-- The cloud's bill of the day. The owner of a line is drawn first; then some lines lose the tag `team` and are known by
-- their sub-account only, and others spell the key in capitals. Lines without an owner have neither.
with lines as (
    select
        hour,
        1 as hours,
        'Usage' as ChargeCategory,
        '8 x ' || gpu_model || ' node' as ChargeDescription,
        usd(case when pool = 'a10' then 0 else price * 0.0288 end) as BilledCost,
        usd(price * 0.0288) as EffectiveCost,
        usd(price * case when pool = 'a10' then 0.0360 else 0.0288 end) as ListCost,
        case when pool = 'a10' then 'Committed' else 'Standard' end as PricingCategory,
        case when pool = 'a10' then 'plan-1' end as CommitmentDiscountId,
        case when pool = 'a10' then 'Used' end as CommitmentDiscountStatus,
        usd(1) as PricingQuantity,
        'Hours' as PricingUnit,
        'Nimbus Compute' as ServiceName,
        'Compute' as ServiceCategory,
        'gpu8-' || pool as SkuId,
        resource_id as ResourceId,
        'Virtual Machine' as ResourceType,
        'acct-platform' as SubAccountId,
        case when number % 2 = 0 then '{"Team": "platform", "environment": "production"}' else '{"team": "platform"}' end as Tags
    from nodes, unnest(range(24)) as hours (hour)
    where not is_own

    union all by name

    -- the plan covers 9.00 an hour of each A10 node; 0.36 of it is drawn by nothing
    select
        0 as hour, 24 as hours, 'Usage' as ChargeCategory, 'Plan: not used' as ChargeDescription, usd(0) as BilledCost,
        usd(count(*) * 24 * 0.36) as EffectiveCost, usd(0) as ListCost, 'Committed' as PricingCategory, 'plan-1' as CommitmentDiscountId,
        'Unused' as CommitmentDiscountStatus, 'Nimbus Compute' as ServiceName, 'Compute' as ServiceCategory, 'plan' as SkuId
    from nodes
    where pool = 'a10'

    union all by name

    select
        0 as hour, 24 as hours, 'Purchase' as ChargeCategory, 'Plan for the A10 nodes, the month ahead' as ChargeDescription,
        usd(count(*) * 24 * 9.00 * day(last_day(charge_day()))) as BilledCost, usd(0) as EffectiveCost, BilledCost as ListCost,
        'plan-1' as CommitmentDiscountId, 'Nimbus Compute' as ServiceName, 'Compute' as ServiceCategory, 'plan' as SkuId,
        'plan-1' as ResourceId, 'Savings Plan' as ResourceType
    from nodes
    where pool = 'a10'
    having is_plan_bought()

    union all by name

    select
        0 as hour, 24 as hours, category as ChargeCategory, description as ChargeDescription, usd(cost) as BilledCost,
        usd(cost) as EffectiveCost, usd(cost) as ListCost, service as ServiceName, 'Other' as ServiceCategory, tags as Tags
    from (values
        ('Usage', 'Support', 100.00, 'Nimbus Support', null),
        ('Tax', 'Tax', 50.00, 'Nimbus Tax', null),
        ('Credit', 'Research credit', -25.00, 'Nimbus Compute', '{"team": "research", "environment": "production"}')
    ) as fixed (category, description, cost, service, tags)

    union all by name

    select
        hour,
        1 as hours,
        'Usage' as ChargeCategory,
        'Usage' as ChargeDescription,
        cost as BilledCost,
        cost as EffectiveCost,
        cost as ListCost,
        'Standard' as PricingCategory,
        usd(1 + tag_draw % 100) as PricingQuantity,
        ['GB', 'GB', 'Hours', 'Hours', 'Requests', 'Hours'][service] as PricingUnit,
        ['Nimbus Storage', 'Nimbus Network', 'Nimbus VMs', 'Nimbus Database', 'Nimbus Queue', 'Nimbus Search'][service] as ServiceName,
        ['Storage', 'Networking', 'Compute', 'Databases', 'Integration', 'Analytics'][service] as ServiceCategory,
        'sku-' || service as SkuId,
        'res-' || resource as ResourceId,
        ['Bucket', 'NAT Gateway', 'Virtual Machine', 'Database', 'Queue', 'Search domain'][service] as ResourceType,
        'acct-' || coalesce(team, 'shared') as SubAccountId,
        case
            when tag_draw % 20 = 0 then null
            when tag_draw % 20 < 3 or team is null then '{"environment": "development"}'
            when tag_draw % 20 < 5 then '{"TEAM": "' || team || '"}'
            when tag_draw % 20 < 9 then '{"Team": "' || team || '", "Environment": "staging"}'
            else '{"team": "' || team || '", "environment": "production"}'
        end as Tags
    from direct_lines
)

from focus_columns

union all by name

select
    lines.* exclude (hour, hours),
    of_the_day.*,
    'nimbus-4711' as BillingAccountId,
    moment((getvariable('day') * 24 + hour) * 3600) as ChargePeriodStart,
    moment((getvariable('day') * 24 + hour + hours) * 3600) as ChargePeriodEnd,
    case when ChargeCategory = 'Usage' then 'Usage-Based' else 'One-Time' end as ChargeFrequency,
    ListCost as ContractedCost,
    PricingQuantity as ConsumedQuantity,
    PricingUnit as ConsumedUnit,
    SkuId || '-price' as SkuPriceId,
    ResourceId as ResourceName,
    'north-1' as RegionId,
    case when CommitmentDiscountId is not null then 'Spend' end as CommitmentDiscountCategory,
    case when CommitmentDiscountId is not null then 'Savings Plan' end as CommitmentDiscountType
from lines, of_the_day('Nimbus Cloud', 'NC') as of_the_day
