-- What a job cost beside what it held: one row per job with what drivers, people and requests that name it add up to.
{{ config(materialized='table') }}

with drivers as (
    select usage_date, job_id, named_cluster, driver, sum(weight)::double / 1000000 as quantity
    from {{ ref('int_job_drivers') }}
    where job_id is not null
    group by all
),

charges as (
    select usage_date, job_id, named_cluster, component, sum(cost) as cost
    from {{ ref('int_job_charges') }}
    where job_id is not null
    group by all
),

asked as (
    select usage_date, job_id, null::varchar as named_cluster, sum(requests) as requests
    from {{ ref('int_job_requests') }}
    group by all
),

names as (
    select usage_date, job_id, named_cluster from drivers
    union select usage_date, job_id, named_cluster from charges
    union select usage_date, job_id, named_cluster from asked
),

jobs as (
    {{ jobs_named('names') }}
),

together as (
    select jobs.job_source, jobs.job_cluster, jobs.job_id, 'driver ' || drivers.driver as what, drivers.quantity, null::decimal(38, 12) as cost
    from drivers
    inner join jobs
        on drivers.usage_date = jobs.usage_date and drivers.job_id = jobs.job_id and drivers.named_cluster is not distinct from jobs.named_cluster
    union all
    select jobs.job_source, jobs.job_cluster, jobs.job_id, 'cost ' || charges.component, null, charges.cost
    from charges
    inner join jobs
        on charges.usage_date = jobs.usage_date and charges.job_id = jobs.job_id and charges.named_cluster is not distinct from jobs.named_cluster
    union all
    select jobs.job_source, jobs.job_cluster, jobs.job_id, 'requests', asked.requests::double, null
    from asked
    inner join jobs on asked.usage_date = jobs.usage_date and asked.job_id = jobs.job_id and jobs.named_cluster is null
    union all
    select job_source, job_cluster, job_id, 'people', minutes::double, cost
    from {{ ref('int_people_costs') }}
    where job_source is not null
)

select
    job_source as source_name,
    job_cluster as cluster,
    job_id,
    {%- for column, driver in {'api_calls': 'api_calls', 'storage_ops': 'storage_ops', 'egress_bytes': 'bytes_out', 'telemetry_bytes': 'telemetry_bytes'}.items() %}
    (sum(quantity::decimal(38, 6)) filter (where what = 'driver {{ driver }}'))::double as {{ column }},
    {%- endfor %}
    {%- for component in ['api', 'egress', 'storage', 'observability'] %}
    sum(cost) filter (where what = 'cost {{ component }}') as {{ component }}_cost,
    {%- endfor %}
    sum(quantity::decimal(38, 12)) filter (where what = 'people')::double as people_minutes,
    case when count(*) filter (where what = 'people' and cost is null) = 0 then sum(cost) filter (where what = 'people') end as people_cost,
    count(*) filter (where what = 'people' and cost is null) > 0 as has_unpriced_people,
    (sum(quantity) filter (where what = 'requests'))::bigint as downstream_requests
from together
group by job_source, job_cluster, job_id
