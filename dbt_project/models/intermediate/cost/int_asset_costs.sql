-- One row per running cost with what it costs in all, in 12 digits: the amount as delivered, else energy measured × PUE ×
-- price, else rated power × load × uptime × hours × PUE × price, else quantity × price × uptime. Every product is rounded at
-- the 12th digit. Node, place and owner are the asset's where the row names none. A row that says none of it never gets here.
{{ config(materialized='table') }}

with costs as (
    select
        *,
        case
            when amount is not null then 'amount by time'
            when energy_kwh is not null then 'energy measured x PUE x price'
            when rated_kw is not null then 'rated power x load x uptime x hours x PUE x price'
            else 'quantity x price x uptime'
        end as cost_origin
    from {{ ref('stg_assets__running_costs') }}
),

rated as (
    select
        *,
        {{ multiply_exact(multiply_exact('rated_kw', 'load_ratio'), 'uptime_ratio') }} as drawn_kw
    from costs
),

-- kW over microseconds, rounded half up
energy as (
    select
        *,
        case
            when cost_origin like 'energy%' then energy_kwh::decimal(38, 12)
            when cost_origin like 'rated%' then {{ from_units(whole_division(
                to_units('drawn_kw') ~ ' * (epoch_us(ended_at) - epoch_us(started_at)) + 1800000000', '3600000000::hugeint')) }}
        end as device_kwh
    from rated
),

-- an asset's name may stand in more than one register: the first source's counts
assets as (
    select *
    from {{ ref('int_asset_lives') }}
    qualify row_number() over (partition by asset_id order by source_name) = 1
)

select
    energy.source_name,
    energy.delivery_id,
    energy.file_name,
    energy.file_row,
    energy.cost_id,
    energy.cost_kind,
    energy.asset_id,
    assets.asset_name,
    assets.units,
    coalesce(energy.resource_id, assets.resource_id) as resource_id,
    assets.cluster,
    assets.region,
    coalesce(energy.tags, assets.tags) as tags,
    energy.supplier,
    energy.currency_code,
    energy.started_at,
    energy.ended_at,
    energy.cost_origin,
    case
        when energy.cost_origin like 'amount%' then energy.amount::decimal(38, 12)
        when energy.cost_origin like 'quantity%'
            then {{ multiply_exact(multiply_exact('energy.quantity', 'energy.unit_price'), 'energy.uptime_ratio') }}
        else {{ multiply_exact(multiply_exact('energy.device_kwh', 'energy.pue'), 'energy.unit_price') }}
    end as total_cost
from energy
left join assets on energy.asset_id = assets.asset_id
