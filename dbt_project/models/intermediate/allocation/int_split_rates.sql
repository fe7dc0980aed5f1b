-- What a unit of each resource weighs when a node's cost is split: one row per day, split and GPU model (NULL: any other), from
-- config/resource_rates.csv. `is_declared`: the rate is a price per hour that is taken first, not a weight. The split aws_weights is built in:
-- GPU : vCPU : GB = 9 : 0.9 : 0.1 (AWS split cost allocation data, accelerated instances).
with days as (
    select build_days.usage_date from {{ source('meta', 'build_days') }} as build_days
),

rates as (
    select days.usage_date, rates.split, rates.resource, nullif(rates.gpu_model, '') as gpu_model, rates.rate_kind, rates.rate::double as rate
    from days
    inner join {{ source('config', 'resource_rates') }} as rates on {{ in_force('rates', 'days.usage_date') }}
    union all
    select days.usage_date, 'aws_weights', built_in.resource, null, 'weight', built_in.rate
    from days
    cross join (values ('gpu', 9.0::double), ('cpu', 0.9::double), ('memory_gb', 0.1::double)) as built_in (resource, rate)
    where not exists (
        select 1 from {{ source('config', 'resource_rates') }} as own where own.split = 'aws_weights' and {{ in_force('own', 'days.usage_date') }}
    )
    union all
    -- the default split: the GPUs of a node bear it all, alike; the CPUs where it has none
    select days.usage_date, 'gpu', built_in.resource, null, 'weight', 1.0::double
    from days
    cross join (values ('gpu'), ('cpu')) as built_in (resource)
    where not exists (select 1 from {{ source('config', 'resource_rates') }} as own where own.split = 'gpu' and own.resource = built_in.resource
        and nullif(own.gpu_model, '') is null and {{ in_force('own', 'days.usage_date') }})
),

models as (
    select distinct usage_date, split, gpu_model from rates
    union
    select distinct usage_date, split, null::varchar from rates
),

general as (
    select
        usage_date, split,
        max(rate) filter (where resource = 'gpu' and gpu_model is null) as gpu_rate,
        max(rate) filter (where resource = 'cpu') as cpu_rate,
        max(rate) filter (where resource = 'memory_gb') as memory_rate,
        max(rate) filter (where resource = 'disk_gb') as disk_rate,
        coalesce(bool_or(rate_kind = 'declared') filter (where resource = 'gpu'), false) as gpu_is_declared,
        coalesce(bool_or(rate_kind = 'declared') filter (where resource = 'cpu'), false) as cpu_is_declared,
        coalesce(bool_or(rate_kind = 'declared') filter (where resource = 'memory_gb'), false) as memory_is_declared,
        coalesce(bool_or(rate_kind = 'declared') filter (where resource = 'disk_gb'), false) as disk_is_declared
    from rates
    group by usage_date, split
)

select
    models.usage_date,
    models.split,
    lower(models.gpu_model) as gpu_model,
    coalesce(own.rate, general.gpu_rate, 0) as gpu_rate,
    coalesce(general.cpu_rate, 0) as cpu_rate,
    coalesce(general.memory_rate, 0) as memory_rate,
    coalesce(general.disk_rate, 0) as disk_rate,
    general.gpu_is_declared,
    general.cpu_is_declared,
    general.memory_is_declared,
    general.disk_is_declared
from models
inner join general on models.usage_date = general.usage_date and models.split = general.split
left join rates as own
    on models.usage_date = own.usage_date and models.split = own.split and own.resource = 'gpu' and models.gpu_model = own.gpu_model
