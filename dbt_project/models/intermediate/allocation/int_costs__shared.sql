-- Shared costs shared out by config/cost_sharing.csv: one row per day, step, bill, cost that is shared and receiver, one negating row per
-- cost given, and one row with the reason where it is kept. Per day and bill the moved costs are 0 in sum, to the last digit.
with rules as (
    select * from {{ ref('int_costs__shared_rules') }}
),

weighed as (
    select weights.usage_date, weights.step, weights.pool_key, weights.cluster, weights.pool, weights.node, weights.resource, weights.receiver_key,
        sum(weights.weight) as weight, false as is_reciprocal
    from {{ ref('int_costs__shared_weights') }} as weights
    left join (select distinct usage_date, step, pool_key, cluster, pool, node, resource from {{ ref('int_costs__shared_reciprocal') }}) as solved
        on weights.usage_date = solved.usage_date and weights.step = solved.step and weights.pool_key = solved.pool_key
        and weights.cluster is not distinct from solved.cluster and weights.pool is not distinct from solved.pool
        and weights.node is not distinct from solved.node and weights.resource is not distinct from solved.resource
    where solved.usage_date is null
    group by all
    union all
    select usage_date, step, pool_key, cluster, pool, node, resource, receiver_key, {{ to_whole('weight') }} as weight, true as is_reciprocal
    from {{ ref('int_costs__shared_reciprocal') }}
),

-- a team is spelt as config/teams.csv has it, else in lower case
spelt as (
    select lower(team) as team_key, min(team) as team from {{ source('config', 'teams') }} group by 1
),

shares as (
    select weighed.*, coalesce(spelt.team, substr(weighed.receiver_key, 6)) as receiver_team, teams.cost_centre as receiver_cost_centre
    from weighed
    left join spelt on substr(weighed.receiver_key, 6) = spelt.team_key
    left join {{ source('config', 'teams') }} as teams
        on substr(weighed.receiver_key, 6) = lower(teams.team) and {{ in_force('teams', 'weighed.usage_date') }}
),

totals as (
    select usage_date, step, pool_key, cluster, pool, node, resource, {{ to_whole('sum(weight)') }} as place_weight,
        sum(case when receiver_key like 'kept:%' then 0 else 1 end) as receiver_count,
        min(case when receiver_key like 'kept:%' then receiver_key end) as kept_reason
    from shares
    group by all
),

borne_1 as (
    select usage_date, billing_period, source_name, billed_by, basis, currency_code, bucket, team, cost_centre, cluster, pool, node,
        lower(component) as component_key, charged_cost as cost
    from {{ ref('int_costs__charged') }}
    where bucket <> 'rounding' and usage_date in (select rules.usage_date from rules)
),

{% for step in range(1, 10) %}
{{ sharing_step(step) }}
{% endfor %}
entries as (
    {% for step in range(1, 10) %}
    select * from entries_{{ step }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    entries.usage_date,
    date_trunc('month', entries.usage_date)::date as usage_period,
    entries.billing_period,
    entries.source_name,
    entries.billed_by,
    entries.basis,
    entries.step,
    rules.rule_id,
    rules.rule_version,
    rules.cost as shared_cost_of,
    rules.within,
    rules.method,
    rules.driver,
    entries.cluster,
    entries.pool,
    entries.node,
    entries.resource,
    entries.bucket as from_bucket,
    entries.team as from_team,
    entries.entry,
    case when entries.entry = 'received' then 'allocated' else entries.bucket end as bucket,
    case when entries.entry = 'received' then entries.receiver_team else entries.team end as team,
    case when entries.entry = 'received' then entries.receiver_cost_centre else entries.cost_centre end as cost_centre,
    'shared: ' || trim(substr(rules.cost, strpos(rules.cost, ':') + 1)) as component,
    entries.pool_cost,
    case when entries.entry = 'kept' then 0 else entries.cost end::decimal(38, 12) as moved_cost,
    case when entries.entry = 'kept' then entries.cost end::decimal(38, 12) as kept_cost,
    case
        when entries.entry <> 'kept' then null
        when entries.receiver_key is not null then substr(entries.receiver_key, 6)
        when rules.method = 'kept' then 'by_rule'
        when rules.method = 'driver' then 'no_driver'
        else 'nobody_charged'
    end as kept_reason,
    case when entries.entry = 'negating' then null else coalesce(entries.weight::double / entries.place_weight::double, 1) end as share_ratio,
    entries.weight::double as weight,
    coalesce(entries.is_reciprocal, false) as is_reciprocal,
    entries.currency_code
from entries
inner join rules on entries.usage_date = rules.usage_date and entries.step = rules.step and entries.pool_key = rules.pool_key
