-- One row per running cost and interval, as delivered; what it costs is made out in int_asset_costs. A cost_id that comes again for the
-- same interval, in a later file, replaces the earlier one.
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
qualify
    costs.cost_id is null or trim(costs.cost_id) = ''
    or dense_rank() over (
        partition by costs.source_name, trim(costs.cost_id), costs.asset_id, costs.resource_id, costs.started_at, costs.ended_at
        order by costs.file_name desc, costs.delivery_id
    ) = 1
