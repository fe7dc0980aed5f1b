{#
  One step of config/cost_sharing.csv as CTEs. It takes `borne_<step>`, what everybody bears before it, and gives
    entries_<step>       what is given (`negating`), received and kept, one row per cost shared out and receiver
    borne_<step + 1>    what everybody bears after it
  A cost is taken whole from those who bore it; what no receiver is known for stays.
#}
{% macro sharing_step(step) -%}
{%- set bill = ['usage_date', 'billing_period', 'source_name', 'billed_by', 'basis', 'currency_code'] -%}
{%- set giver = ['bucket', 'team', 'cost_centre'] -%}
{%- set place = ['cluster', 'pool', 'node'] -%}
{%- set shared_place = place + ['resource'] -%}
{%- set within = 'coalesce(by_component.within, by_evidence.within, by_payer.within)' -%}
matched_{{ step }} as (
    select
        borne.*,
        coalesce(by_component.pool_key, by_evidence.pool_key, by_payer.pool_key) as pool_key,
        {{ within }} as within,
        case when {{ within }} <> 'everything' then borne.cluster end as shared_cluster,
        case when {{ within }} in ('pool', 'node') then borne.pool end as shared_pool,
        case when {{ within }} = 'node' then borne.node end as shared_node,
        case when coalesce(by_component.method, by_evidence.method, by_payer.method) = 'by_resource'
            then {{ resource_of('borne.component_key') }} end as resource
    from borne_{{ step }} as borne
    left join rules as by_component
        on borne.usage_date = by_component.usage_date and by_component.step = {{ step }}
        and by_component.pool_key = 'component:' || borne.component_key
    left join rules as by_evidence
        on borne.usage_date = by_evidence.usage_date and by_evidence.step = {{ step }} and by_evidence.pool_key = 'bucket:unknown'
        and borne.bucket = 'unowned' and right(borne.component_key, 8) = '_unknown'
    left join rules as by_payer
        on borne.usage_date = by_payer.usage_date and by_payer.step = {{ step }}
        and by_payer.pool_key = case when borne.bucket = 'allocated' then 'team:' || lower(borne.team) else 'bucket:' || borne.bucket end
),

placed_{{ step }} as (
    select matched.*, coalesce(totals.receiver_count, 0) > 0 as is_given, totals.kept_reason, totals.place_weight
    from matched_{{ step }} as matched
    left join totals
        on matched.usage_date = totals.usage_date and totals.step = {{ step }} and matched.pool_key = totals.pool_key
        and matched.shared_cluster is not distinct from totals.cluster and matched.shared_pool is not distinct from totals.pool
        and matched.shared_node is not distinct from totals.node and matched.resource is not distinct from totals.resource
),

pools_{{ step }} as (
    select
        {{ (bill + giver) | join(', ') }}, pool_key, within, is_given, kept_reason, place_weight,
        shared_cluster as cluster, shared_pool as pool, shared_node as node, resource,
        -- a component stays what it is where a part of it is kept
        case when pool_key like 'component:%' then component_key when resource <> 'other' then resource end as component_key,
        bool_or(within = 'node' and node is null or within = 'pool' and pool is null or within = 'cluster' and cluster is null) as is_elsewhere,
        sum(cost) as pool_cost
    from placed_{{ step }}
    where pool_key is not null
    group by all
),

shares_{{ step }} as (
    select
        pools.*, shares.receiver_key, shares.receiver_team, shares.receiver_cost_centre, shares.weight, shares.is_reciprocal,
        -- amount x weight must fit into 38 digits
        shares.weight // (
            1 + pools.place_weight // ({{ to_whole('10000000000000000000000000000000000000') }} // (1 + {{ to_units('abs(pools.pool_cost)') }}))
        ) as split_weight_of_receiver
    from pools_{{ step }} as pools
    inner join shares
        on pools.usage_date = shares.usage_date and shares.step = {{ step }} and pools.pool_key = shares.pool_key
        and pools.cluster is not distinct from shares.cluster and pools.pool is not distinct from shares.pool
        and pools.node is not distinct from shares.node and pools.resource is not distinct from shares.resource
    where pools.is_given and pools.pool_cost <> 0
),

split_{{ step }} as (
    {{ split_exact('shares_' ~ step, by=bill + giver + shared_place + ['pool_key', 'component_key'], amount='pool_cost',
        weight='split_weight_of_receiver', tie_break=['receiver_key'],
        keep=bill + giver + shared_place + ['pool_key', 'component_key', 'receiver_key', 'receiver_team', 'receiver_cost_centre', 'weight', 'place_weight',
            'is_reciprocal', 'pool_cost']) }}
),

entries_{{ step }} as (
    select
        {{ (bill + giver + shared_place) | join(', ') }}, {{ step }} as step, pool_key, component_key, pool_cost, receiver_key, receiver_team,
        receiver_cost_centre, case when receiver_key like 'kept:%' then 'kept' else 'received' end as entry,
        allocated_cost as cost, weight, place_weight, is_reciprocal
    from split_{{ step }}
    union all
    select
        {{ (bill + giver + shared_place) | join(', ') }}, {{ step }}, pool_key, component_key, min(pool_cost), null, null, null, 'negating',
        (-sum(allocated_cost))::decimal(38, 12), null, null, null
    from split_{{ step }}
    where receiver_key not like 'kept:%'
    group by {{ (bill + giver + shared_place) | join(', ') }}, pool_key, component_key
    union all
    select
        {{ (bill + giver + shared_place) | join(', ') }}, {{ step }}, pool_key, component_key, pool_cost,
        coalesce(kept_reason, case when is_elsewhere then 'kept:no_' || within end),
        null, null, 'kept', pool_cost, null, null, null
    from pools_{{ step }}
    where not is_given and pool_cost <> 0
),

borne_{{ step + 1 }} as (
    select {{ (bill + giver + place) | join(', ') }}, component_key, cost from placed_{{ step }} where not is_given
    union all
    select
        {{ bill | join(', ') }}, 'allocated' as bucket, receiver_team as team, receiver_cost_centre as cost_centre,
        {{ place | join(', ') }}, null as component_key, cost
    from entries_{{ step }}
    where entry = 'received'
    union all
    select {{ (bill + giver + place) | join(', ') }}, component_key, cost
    from entries_{{ step }}
    where entry = 'kept' and weight is not null
),
{% endmacro %}

{# What of a node a component is, as method by_resource of config/cost_sharing.csv matches it: everything else is `other`. #}
{% macro shared_resources() %}{{ return(['gpu', 'cpu', 'memory', 'disk', 'node']) }}{% endmacro %}
{% macro resource_of(component) -%}
    case {% for resource in shared_resources() %} when {{ component }} in ('{{ resource }}', '{{ resource }}_unknown') then '{{ resource }}'
        {%- endfor %} else 'other' end
{%- endmacro %}
