-- One row per day, step, bill, shared cost and receiver: how config/cost_sharing.csv shared it out, with the negating row that takes it
-- from where it was, and what was kept with the reason. The allocated_* columns are those of a FOCUS 1.3 allocated charge.
{{ config(materialized='incremental', incremental_strategy='days') }}

select
    usage_date,
    usage_period,
    billing_period,
    source_name,
    billed_by,
    basis,
    step,
    rule_id,
    rule_version,
    shared_cost_of,
    within,
    method,
    driver,
    cluster,
    pool,
    node,
    resource,
    from_bucket,
    from_team,
    entry,
    bucket,
    team,
    cost_centre,
    component,
    pool_cost,
    share_ratio,
    moved_cost,
    kept_cost,
    kept_reason,
    method || '_within_' || within as allocated_method_id,
    {{ shared_method_details() }} as allocated_method_details,
    case when entry = 'received' then team end as allocated_resource_id,
    case when entry = 'received' then team end as allocated_resource_name,
    case when entry = 'received' then {{ json_text({'team': 'team', 'cost_centre': 'cost_centre'}) }} end as allocated_tags,
    currency_code
from {{ ref('int_costs__shared') }}
where {{ in_build_days('usage_date') }}
