-- A pool of Google's commitments whose attributed fees or credits are not exactly what was billed.
select usage_date, billing_account_id, region_id, cud_type, unit_type, cost_kind, sum(billed_cost) as billed, sum(attributed_cost) as attributed
from {{ ref('int_gcp_cud__attributed') }}
group by all
having sum(billed_cost) <> sum(attributed_cost)
