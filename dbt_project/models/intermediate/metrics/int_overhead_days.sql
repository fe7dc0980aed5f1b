-- What cost sharing (config/cost_sharing.csv) gave to those who hold GPUs: one row per day and team, as a ratio to what it holds costs. What
-- was shared of nodes (idle, down) goes with what was held; of other shared costs the part that GPUs are of the team's own costs.
with held as (
    select usage_date, team, sum(held_cost) as held_cost
    from {{ ref('int_gpu_metric_days') }}
    where team is not null and {{ in_build_days('usage_date') }}
    group by all
),

charged as (
    select usage_date, team, sum(charged_cost) as charged_cost
    from {{ ref('int_costs__charged') }}
    where bucket = 'allocated' and {{ in_build_days('usage_date') }}
    group by all
),

received as (
    select
        usage_date, team,
        coalesce(sum(moved_cost) filter (where coalesce(cluster, pool, node) is not null), 0) as of_nodes_cost,
        coalesce(sum(moved_cost) filter (where coalesce(cluster, pool, node) is null), 0) as other_cost
    from {{ ref('int_costs__shared') }}
    where entry = 'received' and bucket = 'allocated' and {{ in_build_days('usage_date') }}
    group by all
)

select
    received.usage_date,
    received.team,
    (
        received.of_nodes_cost::double
        + received.other_cost::double * coalesce(least(1, held.held_cost::double / nullif(charged.charged_cost, 0)::double), 1)
    ) / held.held_cost::double as overhead_ratio
from received
inner join held on received.usage_date = held.usage_date and received.team = held.team
left join charged on received.usage_date = charged.usage_date and received.team = charged.team
where held.held_cost > 0
