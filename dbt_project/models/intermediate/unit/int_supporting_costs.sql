-- What requests rest on beside the model itself: one row per day, rule of config/supporting_costs.csv and bill. From billing lines that are no
-- model's and no node's, and from what holdings (a gateway's pods) were allocated.
with rules as (
    select rule_id, rule_version, lower(trim(component)) as component, share_by, trim(among) as among, valid_from, valid_to
    from {{ source('config', 'supporting_costs') }}
),

holdings as (
    select source_name, cluster, holding_id, node, min(supporting_rule_id) as supporting_rule_id
    from {{ ref('int_holdings__owned') }}
    where supporting_rule_id is not null
    group by all
),

costs as (
    select usage_date, supporting_rule_id, source_name, billed_by, billing_period, cost, currency_code
    from {{ ref('int_charges__spread') }}
    where supporting_rule_id is not null and model is null and resource_id is null and not is_unused_commitment
        and {{ in_build_days('usage_date') }}

    union all

    select
        slots.usage_date, holdings.supporting_rule_id, slots.source_name, slots.billed_by, slots.billing_period,
        slots.allocated_cost as cost, slots.currency_code
    from {{ ref('int_slot_hours__allocated') }} as slots
    inner join holdings
        on slots.holding_source = holdings.source_name and slots.cluster is not distinct from holdings.cluster
        and slots.holding_id = holdings.holding_id and slots.node is not distinct from holdings.node
    where slots.is_held and slots.model is null and not slots.is_unused_commitment and {{ in_build_days('slots.usage_date') }}
)

select
    costs.usage_date,
    rules.rule_id,
    rules.rule_version,
    rules.component,
    rules.share_by,
    rules.among,
    costs.source_name,
    costs.billed_by,
    costs.billing_period,
    costs.currency_code,
    sum(costs.cost) as cost
from costs
inner join rules on costs.supporting_rule_id = rules.rule_id and {{ in_force('rules', 'costs.usage_date') }}
group by all
