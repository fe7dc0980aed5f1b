-- One row per running cost and interval, as delivered; what it costs is made out in int_asset_costs.
select
    costs.source_name,
    costs.delivery_id,
    costs.file_name,
    costs.file_row,
    nullif(trim(costs.cost_id), '') as cost_id,
    lower(trim(costs.cost_kind)) as cost_kind,
    nullif(trim(costs.asset_id), '') as asset_id,
    nullif(trim(costs.resource_id), '') as resource_id,
    costs.started_at,
    costs.ended_at,
    costs.amount,
    costs.energy_kwh,
    costs.rated_kw,
    coalesce(costs.load_ratio, 1) as load_ratio,
    coalesce(costs.pue, 1) as pue,
    coalesce(costs.uptime_ratio, 1) as uptime_ratio,
    costs.quantity,
    costs.unit,
    costs.unit_price,
    coalesce(nullif(upper(trim(costs.currency)), ''), workspace.currency_code) as currency_code,
    nullif(trim(costs.supplier), '') as supplier,
    nullif(trim(costs.tags), '') as tags
from {{ source('raw', 'asset_costs') }} as costs
cross join {{ source('config', 'workspace') }} as workspace
