-- A model-day whose cost on its consumers is not exactly what serving it cost, where anyone consumed it.
select parts.*, whole.cost
from (
    select usage_date, model, pool_kind, figure, phase, source_name, billed_by, billing_period, bill_team, sum(allocated_cost) as parts_cost
    from {{ ref('int_model_days__allocated') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as parts
left join (
    select usage_date, model, pool_kind, figure, phase, source_name, billed_by, billing_period, team as bill_team, sum(cost) as cost
    from {{ ref('int_model_days__pooled') }}
    where {{ in_build_days('usage_date') }}
    group by all
) as whole
    on parts.usage_date = whole.usage_date and parts.model = whole.model and parts.pool_kind = whole.pool_kind
    and parts.figure = whole.figure and parts.phase = whole.phase
    and parts.source_name = whole.source_name and parts.billed_by = whole.billed_by
    and parts.billing_period = whole.billing_period and parts.bill_team is not distinct from whole.bill_team
where whole.cost is distinct from parts.parts_cost
