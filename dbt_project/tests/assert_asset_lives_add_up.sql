-- An asset whose months of life do not add up to its price less its residual value, to the last digit.
select
    lives.source_name,
    lives.asset_id,
    lives.purchase_cost - lives.residual_value as to_lose,
    sum(months.depreciation_cost) as lost
from {{ ref('int_asset_lives') }} as lives
left join {{ ref('int_asset_months') }} as months
    on lives.source_name = months.source_name and lives.asset_id = months.asset_id
group by lives.source_name, lives.asset_id, lives.purchase_cost, lives.residual_value
having sum(months.depreciation_cost) is distinct from lives.purchase_cost - lives.residual_value
