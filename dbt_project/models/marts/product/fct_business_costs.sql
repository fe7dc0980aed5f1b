-- One row per business figure and interval: what requests of the tenant, feature and model that it names cost in it, and what that is by unit of
-- revenue, conversion, …. Intervals of whole days.
with figures as (
    select
        *,
        row_number() over (order by source_name, started_at, ended_at, metric, unit, tenant, feature, model, value) as figure_number,
        started_at = date_trunc('day', started_at) and ended_at = date_trunc('day', ended_at) as is_whole_days
    from {{ ref('stg_product__business_metrics') }}
),

costs as (
    select
        figures.figure_number,
        sum(costs.request_count)::bigint as request_count,
        sum(costs.token_count)::bigint as token_count,
        sum(costs.vendor_cost) as vendor_cost,
        sum(costs.full_cost) as full_cost,
        bool_or(costs.basis in ('partial', 'unpriced')) as lacks_cost,
        {{ metric_basis('costs.basis') }} as basis
    from figures
    inner join {{ ref('fct_token_costs') }} as costs
        on costs.usage_date >= figures.started_at and costs.usage_date < figures.ended_at
        and (figures.tenant is null or lower(figures.tenant) = lower(costs.tenant))
        and (figures.feature is null or lower(figures.feature) = lower(costs.feature))
        and (figures.model is null or lower(figures.model) = lower(costs.model))
    where figures.is_whole_days
    group by figures.figure_number
)

select
    figures.source_name,
    figures.started_at as period_start_at,
    figures.ended_at as period_end_at,
    figures.metric,
    figures.unit,
    figures.tenant,
    figures.feature,
    figures.model,
    figures.value as metric_value,
    costs.request_count,
    costs.token_count,
    costs.vendor_cost,
    costs.full_cost,
    costs.vendor_cost::double / nullif(figures.value, 0) as vendor_cost_per_unit,
    costs.full_cost::double / nullif(figures.value, 0) as full_cost_per_unit,
    costs.basis,
    case
        when not figures.is_whole_days then 'the interval is not of whole days: requests are costed by the day'
        when costs.figure_number is null then 'no request is of what it names'
        when costs.full_cost is null then 'what the requests cost is not known'
        when figures.value = 0 then 'the figure is 0'
        when costs.lacks_cost then 'some requests have no price: the cost is a part'
    end as cost_reason,
    workspace.currency_code
from figures
cross join {{ source('config', 'workspace') }} as workspace
left join costs on figures.figure_number = costs.figure_number
