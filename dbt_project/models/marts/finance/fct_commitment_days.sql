-- One row per day, bill and commitment (commitment discount or capacity reservation): what was bought, what usage took of it at its
-- amortised cost, and what lay unused. A line counts on the day on which its charge period starts.
{{ config(materialized='incremental', incremental_strategy='days', day_column='charge_date') }}

with lines as (
    select
        charge_date, billed_by, billing_currency, currency_code, charge_category,
        commitment_discount_id as commitment_id, 'commitment_discount' as commitment_kind,
        commitment_discount_type as commitment_type, commitment_discount_status as status,
        commitment_discount_quantity as quantity, reporting_billed_cost, reporting_effective_cost, reporting_list_cost
    from {{ ref('fct_charges') }}
    where commitment_discount_id is not null and {{ in_build_days('charge_date') }}
    union all
    select
        charge_date, billed_by, billing_currency, currency_code, charge_category,
        capacity_reservation_id, 'capacity_reservation', null::varchar, capacity_reservation_status,
        consumed_quantity, reporting_billed_cost, reporting_effective_cost, reporting_list_cost
    from {{ ref('fct_charges') }}
    where capacity_reservation_id is not null and {{ in_build_days('charge_date') }}
)

select
    charge_date,
    billed_by,
    commitment_kind,
    commitment_id,
    max(commitment_type) as commitment_type,
    sum(case when charge_category = 'Purchase' then reporting_billed_cost else 0 end)::decimal(38, 20) as purchased_cost,
    sum(case when charge_category = 'Purchase' then reporting_effective_cost else 0 end)::decimal(38, 20) as purchase_effective_cost,
    sum(case when charge_category <> 'Purchase' then reporting_billed_cost else 0 end)::decimal(38, 20) as usage_billed_cost,
    sum(case when charge_category <> 'Purchase' and status = 'Used' then reporting_effective_cost else 0 end)::decimal(38, 20) as used_cost,
    sum(case when charge_category <> 'Purchase' and status = 'Unused' then reporting_effective_cost else 0 end)::decimal(38, 20)
        as unused_cost,
    sum(case when charge_category <> 'Purchase' and coalesce(status, '') not in ('Used', 'Unused') then reporting_effective_cost else 0 end)::decimal(38, 20)
        as unstated_cost,
    -- what the covered usage costs without the commitment; unknown as soon as one line does not say
    case
        when count(case when status = 'Used' and charge_category <> 'Purchase' and reporting_list_cost is null then 1 end) = 0
            then sum(case when status = 'Used' and charge_category <> 'Purchase' then reporting_list_cost else 0 end)
    end::decimal(38, 20) as covered_list_cost,
    sum(case when charge_category <> 'Purchase' and status = 'Used' then quantity end)::decimal(38, 20) as used_quantity,
    sum(case when charge_category <> 'Purchase' and status = 'Unused' then quantity end)::decimal(38, 20) as unused_quantity,
    count(*) as line_count,
    currency_code
from lines
group by charge_date, billed_by, commitment_kind, commitment_id, currency_code
