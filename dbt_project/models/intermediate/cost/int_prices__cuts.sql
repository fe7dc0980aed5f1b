-- What a model's prices depend on beside the day: one row per provider and model whose price differs by region, by the length
-- of a request's prompt or by the time of day (microseconds since midnight at which one may change). No row: by the day alone.
{{ config(materialized='table') }}

with cuts as (
    select usage_provider, usage_model, region, quantity_from::bigint as quantity_from, day_from as day_cut
    from {{ ref('int_prices__of_models') }}
    union all
    select usage_provider, usage_model, null, 0, day_to from {{ ref('int_prices__of_models') }}
    union all
    select usage_provider, usage_model, null, 0, {{ microseconds_of_day('valid_from') }} from {{ ref('int_prices__of_models') }}
    union all
    select usage_provider, usage_model, null, 0, {{ microseconds_of_day('valid_to') }} from {{ ref('int_prices__of_models') }}
)

select
    usage_provider,
    usage_model,
    bool_or(region is not null) as is_by_region,
    array_agg(distinct quantity_from order by quantity_from) filter (where quantity_from > 0) as quantity_cuts,
    array_agg(distinct day_cut order by day_cut) filter (where day_cut > 0 and day_cut < 86400000000) as day_cuts
from cuts
group by usage_provider, usage_model
having is_by_region or quantity_cuts is not null or day_cuts is not null
