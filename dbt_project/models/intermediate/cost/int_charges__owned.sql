-- One row per billing line: its owner, virtual tags and what it supports by rule, and its costs in the reporting currency. A billing period has one rate:
-- that of its first day, so a line and its later correction are each converted at the rate of the bill they stand on.
{{ config(day_column='charge_date') }}

with lines as (
    select
        *,
        row_number() over () as object_number
    from {{ ref('int_charge_lines') }}
    where {{ in_build_days('charge_date') }}
),

owners as (
    {{ decided_by_rules('lines', 'charge_date', ['tags'] + line_fields(), 'owner') }}
),

tag_decisions as (
    {{ decided_by_rules('lines', 'charge_date', ['tags'] + line_fields(), 'tag') }}
),

supporting as (
    {{ decided_by_rules('lines', 'charge_date', ['tags'] + line_fields(), 'supporting') }}
),

virtual_tags as (
    select
        object_number,
        {{ json_object_of('tag', 'outcome') }} as virtual_tags,
        {{ json_object_of('tag', 'rule_id') }} as virtual_tag_rules,
        max(case when tag = 'component' then outcome end) as component
    from tag_decisions
    group by object_number
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
        and {{ in_force('rates', 'lines.billed_from_date') }}
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
    rated.service_name,
    rated.service_category,
    rated.commitment_discount_status,
    rated.capacity_reservation_status,
    rated.resource_id,
    rated.model,
    rated.service_tier,
    owners.outcome as team,
    teams.cost_centre,
    owners.rule_id as owner_rule_id,
    owners.rule_version as owner_rule_version,
    'owners/' || owners.rule_id || '@' || owners.rule_version as owner_rule,
    coalesce({{ json_field('virtual_tags.virtual_tags', 'project') }}, {{ json_field('rated.tags', 'project') }}, rated.sub_account_name) as project,
    virtual_tags.virtual_tags,
    virtual_tags.virtual_tag_rules,
    supporting.rule_id as supporting_rule_id,
    coalesce(virtual_tags.component, rated.component) as component,
    rated.exchange_rate::decimal(38, 20) as exchange_rate,
    {{ convert_money('rated.billed_cost', 'rated.exchange_rate') }} as reporting_billed_cost,
    {{ convert_money('rated.effective_cost', 'rated.exchange_rate') }} as reporting_effective_cost,
    {{ convert_money('rated.list_cost', 'rated.exchange_rate') }} as reporting_list_cost,
    {{ convert_money('rated.contracted_cost', 'rated.exchange_rate') }} as reporting_contracted_cost,
    rated.currency_code
from rated
left join owners on rated.object_number = owners.object_number
left join supporting on rated.object_number = supporting.object_number
left join virtual_tags on rated.object_number = virtual_tags.object_number
left join {{ source('config', 'teams') }} as teams
    on lower(owners.outcome) = lower(teams.team) and {{ in_force('teams', 'rated.charge_date') }}
