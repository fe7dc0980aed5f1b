-- One row per business figure and interval. What it does not name (tenant, feature, model) it holds for all of.
select
    source_name,
    started_at,
    ended_at,
    lower(trim(metric)) as metric,
    value,
    nullif(trim(unit), '') as unit,
    nullif(trim(tenant), '') as tenant,
    nullif(trim(feature), '') as feature,
    nullif(trim(model), '') as model
from {{ source('raw', 'business_metrics') }}
