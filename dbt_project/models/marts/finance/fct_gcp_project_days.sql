-- One row per Pacific day, Google Cloud billing account and project: effective cost as billed, and after the fees and credits of
-- commitments went to the projects that are entitled to them and used them. The move adds up to 0 on every day and account.
with lines as (
    select
        {{ pacific_day('charge_period_start') }} as usage_date,
        billing_account_id,
        sub_account_id as project_id,
        billing_currency,
        effective_cost,
        0 as moved_cost
    from {{ ref('stg_billing__lines') }}
    where billed_by = 'Google Cloud'
    union all
    select usage_date, billing_account_id, project_id, billing_currency, 0, attributed_cost - billed_cost
    from {{ ref('int_gcp_cud__attributed') }}
)

select
    usage_date,
    billing_account_id,
    project_id,
    sum(effective_cost)::decimal(38, 20) as effective_cost,
    sum(moved_cost)::decimal(38, 20) as moved_cost,
    (sum(effective_cost) + sum(moved_cost))::decimal(38, 20) as attributed_effective_cost,
    billing_currency
from lines
group by usage_date, billing_account_id, project_id, billing_currency
