-- One row per team (or bucket without one) and component of a billing period, the largest first.
with parts as (
    select
        bucket,
        coalesce(team, 'team unknown') as team,
        coalesce(component, 'other') as component,
        sum(charged_cost) as charged_cost
    from finance.fct_chargeback
    where coalesce(billing_period, usage_period) = $period
    group by all
)

select
    *,
    sum(charged_cost) over (partition by bucket, team) as team_cost,
    sum(abs(charged_cost)) over (partition by component) as component_weight
from parts
order by bucket <> 'allocated', team_cost desc, team, component_weight desc, component
