-- Who receives what of a shared cost: one row per day, rule, place (cluster, pool, node as far as the rule looks) and receiver, with
-- its weight, a whole number. Receivers are `team:<team>`, `component:<component>`, or `kept:<reason>` for what stays where it is.
-- resource: which of the cost's components the weights are for, where method by_resource tells them apart; else NULL.
-- next_pool_key: the receiver is shared out itself in the same step.
{{ config(materialized='table') }}

with rules as (
    select * from {{ ref('int_costs__shared_rules') }} where method <> 'kept'
),

listed as (
    select
        usage_date, step, pool_key,
        case when receiver like 'team:%' or receiver like 'component:%' then receiver else 'team:' || receiver end as receiver_key,
        sum(weight) as weight
    from (
        select
            usage_date, step, pool_key, {{ one_spelling("split_part(item, '=', 1)") }} as receiver,
            {{ to_whole("coalesce(nullif(trim(split_part(item, '=', 2)), '')::decimal(24, 6), 1) * 1000000") }} as weight
        from (select *, {{ receivers_listed('receivers') }} as item from rules where receivers is not null)
        where trim(item) <> ''
    )
    group by all
),

{# where a team holds a node for a model whose cost its consumers pay, the node's costs are still shared by who holds it -#}
places as (
    select usage_date, cluster, pool, node, lower(team) as team_key, lower(component) as component_key,
        {{ resource_of('lower(component)') }} as resource, sum(charged_cost) as cost
    from {{ ref('int_costs__charged') }}
    where bucket = 'allocated' and cluster is not null and component <> 'tokens_self_hosted' and {{ in_build_days('usage_date') }}
    group by all
    union all
    select usage_date, cluster, pool, node, lower(team) as team_key, 'tokens_self_hosted' as component_key, basis as resource,
        sum(allocated_cost) as cost
    from {{ ref('int_slot_hours__allocated') }}
    where is_held and model is not null and team is not null and not is_unused_commitment and {{ in_build_days('usage_date') }}
    group by all
),

direct as (
    select
        usage_date, 'everything' as within, null::varchar as cluster, null::varchar as pool, null::varchar as node,
        lower(team) as team_key, lower(component) as component_key, {{ resource_of('lower(component)') }} as resource,
        sum(charged_cost) as cost
    from {{ ref('int_costs__charged') }}
    where bucket = 'allocated' and {{ in_build_days('usage_date') }}
    group by all
    {% for within, depth in {'cluster': 1, 'pool': 2, 'node': 3}.items() %}
    union all
    select
        usage_date, '{{ within }}' as within, cluster, {{ 'pool' if depth > 1 else 'null' }} as pool,
        {{ 'node' if depth > 2 else 'null' }} as node, team_key, component_key, resource,
        sum(cost) as cost
    from places
    {%- if depth > 2 %}
    where node is not null
    {%- endif %}
    group by all
    {% endfor %}
),

-- the teams charged directly in the place, without the cost that is shared
charged as (
    select
        rules.usage_date, rules.step, rules.pool_key, rules.method, rules.receivers,
        direct.cluster, direct.pool, direct.node, 'team:' || direct.team_key as receiver_key, {{ to_units('sum(direct.cost)') }} as units,
        case when rules.method = 'by_resource' then direct.resource end as resource
    from rules
    inner join direct
        on rules.usage_date = direct.usage_date and rules.within = direct.within and rules.pool_key <> 'component:' || direct.component_key
    where rules.method in ('proportional', 'by_resource') or (rules.method = 'even' and rules.receivers is null)
    group by all
),

receiving as (
    select charged.* exclude (method, receivers, units),
        case when charged.method = 'even' then case when charged.units <> 0 then 1 else 0 end else charged.units end as weight
    from charged
    left join listed using (usage_date, step, pool_key, receiver_key)
    where case when charged.receivers is null then charged.receiver_key <> charged.pool_key else listed.receiver_key is not null end
),

-- what nobody in the place holds any of is shared by all that is held there
by_resource as (
    select usage_date, step, pool_key, cluster, pool, node, receiver_key, resource,
        case when sum(greatest(weight_of_resource, 0)) over (
            partition by usage_date, step, pool_key, cluster, pool, node, resource
        ) > 0 then weight_of_resource else weight_of_all end as weight
    from (
        select receiving.* exclude (resource, weight), wanted.resource,
            sum(receiving.weight) as weight_of_all,
            sum(case when receiving.resource = wanted.resource then receiving.weight else 0 end) as weight_of_resource
        from receiving
        cross join (select {{ unfolded({'resource': ["'" ~ (shared_resources() + ['other']) | join("', '") ~ "'"]}) }}) as wanted
        where receiving.resource is not null
        group by all
    )
),

weighed as (
    select usage_date, step, pool_key, cluster, pool, node, receiver_key, resource, weight from receiving where resource is null
    union all
    select usage_date, step, pool_key, cluster, pool, node, receiver_key, resource, weight from by_resource
    union all
    select listed.usage_date, listed.step, listed.pool_key, null, null, null, listed.receiver_key, null, listed.weight
    from listed
    inner join rules using (usage_date, step, pool_key)
    where rules.method = 'weights' or rules.method = 'even'
    union all
    select
        rules.usage_date, rules.step, rules.pool_key, null, null, null,
        coalesce('team:' || drivers.team_key, 'kept:driver_without_team') as receiver_key, null, drivers.weight
    from rules
    inner join {{ ref('int_costs__shared_drivers') }} as drivers on rules.usage_date = drivers.usage_date and rules.driver = drivers.driver
    left join listed
        on rules.usage_date = listed.usage_date and rules.step = listed.step and rules.pool_key = listed.pool_key
        and listed.receiver_key = 'team:' || drivers.team_key
    where rules.method = 'driver' and (
        listed.receiver_key is not null
        or (rules.receivers is null and 'team:' || drivers.team_key is distinct from rules.pool_key)
    )
)

select
    weighed.usage_date, weighed.step, weighed.pool_key, weighed.cluster, weighed.pool, weighed.node, weighed.resource,
    case
        when weighed.receiver_key = weighed.pool_key then 'kept:own_share'
        when weighed.receiver_key like 'component:%' and following.pool_key is null then 'kept:receiver_not_shared'
        else weighed.receiver_key
    end as receiver_key,
    {{ to_whole('weighed.weight') }} as weight,
    following.pool_key as next_pool_key,
    case when following.within <> 'everything' then weighed.cluster end as next_cluster,
    case when following.within in ('pool', 'node') then weighed.pool end as next_pool,
    case when following.within = 'node' then weighed.node end as next_node,
    -- what was received is of no component any more
    case when following.method = 'by_resource' then 'other' end as next_resource
from weighed
left join rules as following
    on weighed.usage_date = following.usage_date and weighed.step = following.step and weighed.receiver_key = following.pool_key
    and weighed.receiver_key <> weighed.pool_key
where weighed.weight > 0
