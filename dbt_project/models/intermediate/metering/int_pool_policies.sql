-- The policies in force: one row per day, cluster and pool, each with the most closely fitting rule of config/policies.csv, else its default.
{% set defaults = {
    'node_cost_split': 'gpu', 'mig_share': 'compute', 'shared_gpu_split': 'process', 'cpu_memory_share': 'larger',
} -%}
with pools as (
    select distinct usage_date, cluster, pool from {{ ref('int_capacity_hours') }} where {{ in_build_days('usage_date') }}
    union
    select build_days.usage_date, coalesce(holdings.cluster, ''), coalesce(holdings.pool, '')
    from (select distinct cluster, pool from {{ ref('int_holdings__cleaned') }}) as holdings
    cross join {{ source('meta', 'build_days') }} as build_days
),

fitting as (
    select
        pools.usage_date, pools.cluster, pools.pool, policies.policy, policies.value,
        row_number() over (
            partition by pools.usage_date, pools.cluster, pools.pool, policies.policy
            order by policies.pool is null, policies.cluster is null
        ) as place
    from pools
    inner join {{ source('config', 'policies') }} as policies
        on {{ in_force('policies', 'pools.usage_date') }}
        and (policies.cluster is null or policies.cluster = pools.cluster)
        and (policies.pool is null or policies.pool = pools.pool)
)

select
    pools.usage_date,
    pools.cluster,
    pools.pool,
    {%- for policy, default in defaults.items() %}
    coalesce(max(fitting.value) filter (where fitting.policy = '{{ policy }}'), '{{ default }}') as {{ policy }}{{ ',' if not loop.last }}
    {%- endfor %}
from pools
left join fitting
    on pools.usage_date = fitting.usage_date and pools.cluster = fitting.cluster and pools.pool = fitting.pool and fitting.place = 1
group by pools.usage_date, pools.cluster, pools.pool
