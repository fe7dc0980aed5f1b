-- One row per asset with the life it really has. An upgrade lives no longer than what it extends, is disposed of with it
-- unless it says otherwise, and belongs to its node, place and owner where it names none. What is put into service after
-- the end of what it extends, or extends something that the register does not hold, lives its own life.
{{ config(materialized='table') }}

with recursive resolved as (
    select
        register.source_name,
        register.asset_id,
        register.life_until_at,
        register.disposed_at,
        register.resource_id,
        register.cluster,
        register.region,
        register.tags
    from {{ ref('stg_assets__register') }} as register
    left join {{ ref('stg_assets__register') }} as parents
        on register.source_name = parents.source_name and register.upgrade_of = parents.asset_id
    where parents.asset_id is null

    union all

    select
        upgrades.source_name,
        upgrades.asset_id,
        case
            when resolved.life_until_at > upgrades.in_service_at then least(upgrades.life_until_at, resolved.life_until_at)
            else upgrades.life_until_at
        end as life_until_at,
        coalesce(
            upgrades.disposed_at, case when resolved.disposed_at >= upgrades.in_service_at then resolved.disposed_at end
        ) as disposed_at,
        coalesce(upgrades.resource_id, resolved.resource_id) as resource_id,
        coalesce(upgrades.cluster, resolved.cluster) as cluster,
        coalesce(upgrades.region, resolved.region) as region,
        coalesce(upgrades.tags, resolved.tags) as tags
    from {{ ref('stg_assets__register') }} as upgrades
    inner join resolved on upgrades.source_name = resolved.source_name and upgrades.upgrade_of = resolved.asset_id
)

-- assets that extend each other in a circle are never reached from a beginning: their own life counts
select
    register.* exclude (life_until_at, disposed_at, resource_id, cluster, region, tags),
    coalesce(resolved.life_until_at, register.life_until_at) as life_until_at,
    coalesce(resolved.disposed_at, register.disposed_at) as disposed_at,
    coalesce(resolved.resource_id, register.resource_id) as resource_id,
    coalesce(resolved.cluster, register.cluster) as cluster,
    coalesce(resolved.region, register.region) as region,
    coalesce(resolved.tags, register.tags) as tags
from {{ ref('stg_assets__register') }} as register
left join resolved on register.source_name = resolved.source_name and register.asset_id = resolved.asset_id
