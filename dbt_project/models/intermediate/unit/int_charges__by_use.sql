-- int_charges__spread with provisioned throughput by what was used of it: what nobody asked for in its hour is an unused commitment.
{{ config(materialized='view') }}

select
    usage_date, hour_start_at, source_name, billed_by, billing_period, component, is_unused_commitment, resource_id, model,
    'vendor' as pool_kind, service_name, project, owner_rule, team, cost_centre, currency_code, cost
from {{ ref('int_charges__spread') }}
where not is_provisioned and {{ in_build_days('usage_date') }}

union all by name

select
    usage_date, source_name, billed_by, billing_period, not is_used as is_unused_commitment, model, 'provisioned' as pool_kind, team,
    cost_centre, currency_code, sum(cost) as cost
from {{ ref('int_provisioned_hours') }}
where {{ in_build_days('usage_date') }}
group by all
