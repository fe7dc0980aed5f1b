-- What serving a model cost on a day: one row per day, model and bill; `vendor` from billing lines that name the model,
-- `self_hosted` from what its serving holdings were allocated.
select
    usage_date,
    model,
    'vendor' as pool_kind,
    source_name,
    billed_by,
    billing_period,
    team,
    cost_centre,
    currency_code,
    sum(cost) as cost
from {{ ref('int_charges__spread') }}
where model is not null and resource_id is null and not is_unused_commitment and {{ in_build_days('usage_date') }}
group by all

union all

select
    usage_date,
    model,
    'self_hosted' as pool_kind,
    source_name,
    billed_by,
    billing_period,
    team,
    cost_centre,
    currency_code,
    sum(allocated_cost) as cost
from {{ ref('int_slot_hours__allocated') }}
where is_held and model is not null and not is_unused_commitment and {{ in_build_days('usage_date') }}
group by all
