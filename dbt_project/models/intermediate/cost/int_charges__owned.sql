-- One row per billing line: its owner by rule, and billed and effective cost in the reporting currency by the rate of its day.
{{ config(day_column='charge_date') }}

with lines as (
    select
        *,
        row_number() over () as object_number
    from {{ ref('int_charge_lines') }}
    where {{ in_build_days('charge_date') }}
),

owners as (
    {{ owners_of('lines', 'charge_date',
        ['tags', 'source_name', 'billing_account_id', 'sub_account_id', 'resource_id', 'resource_name', 'service_name']) }}
),

rated as (
    select
        lines.*,
        workspace.currency_code,
        case when lines.billing_currency = workspace.currency_code then 1 else rates.rate end as exchange_rate
    from lines
    cross join {{ source('config', 'workspace') }} as workspace
    left join {{ source('config', 'exchange_rates') }} as rates
        on lines.billing_currency = rates.from_currency and rates.to_currency = workspace.currency_code
        and {{ in_force('rates', 'lines.charge_date') }}
)

select
    rated.source_name,
    rated.delivery_id,
    rated.file_name,
    rated.file_row,
    rated.charge_date,
    rated.charge_period_start as accrues_from_at,
    greatest(rated.accrues_until_at, rated.charge_period_start) as accrues_until_at,
    rated.billing_period,
    rated.billed_by,
    rated.charge_category,
    coalesce(rated.component, rated.service_category) as service_category,
    rated.commitment_discount_status,
    rated.resource_id,
    rated.model,
    owners.team,
    teams.cost_centre,
    owners.owner_rule_id,
    rated.exchange_rate::decimal(38, 20) as exchange_rate,
    {{ convert_money('rated.billed_cost', 'rated.exchange_rate') }} as reporting_billed_cost,
    {{ convert_money('rated.effective_cost', 'rated.exchange_rate') }} as reporting_effective_cost,
    rated.currency_code
from rated
left join owners on rated.object_number = owners.object_number
left join {{ source('config', 'teams') }} as teams
    on lower(owners.team) = lower(teams.team) and {{ in_force('teams', 'rated.charge_date') }}
