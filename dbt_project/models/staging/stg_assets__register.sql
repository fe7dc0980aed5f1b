-- One row per asset, money in 12 digits. Registers are dumped again and again: of rows with one asset_id, that of the later
-- file counts, then the later row.
select
    assets.source_name,
    assets.delivery_id,
    assets.file_name,
    assets.file_row,
    assets.asset_id,
    coalesce(nullif(trim(assets.name), ''), assets.asset_id) as asset_name,
    lower(trim(assets.asset_kind)) as asset_kind,
    nullif(trim(assets.resource_id), '') as resource_id,
    nullif(trim(assets.upgrade_of), '') as upgrade_of,
    coalesce(assets.units, 1) as units,
    assets.purchase_cost::decimal(38, 12) as purchase_cost,
    coalesce(assets.residual_value, 0)::decimal(38, 12) as residual_value,
    coalesce(nullif(upper(trim(assets.currency)), ''), workspace.currency_code) as currency_code,
    assets.in_service_at,
    {{ add_months('assets.in_service_at', 'assets.life_months') }} as life_until_at,
    case
        when lower(assets.depreciation_method) like '%declining%' then 'declining_balance'
        else 'straight_line'
    end as depreciation_method,
    assets.declining_rate,
    assets.disposed_at,
    coalesce(assets.disposal_proceeds, 0)::decimal(38, 12) as disposal_proceeds,
    nullif(trim(assets.supplier), '') as supplier,
    nullif(trim(assets.cluster), '') as cluster,
    nullif(trim(assets.region), '') as region,
    nullif(trim(assets.model), '') as model,
    nullif(trim(assets.tags), '') as tags
from {{ source('raw', 'assets') }} as assets
cross join {{ source('config', 'workspace') }} as workspace
qualify row_number() over (
    partition by assets.source_name, assets.asset_id order by assets.file_name desc, assets.file_row desc
) = 1
