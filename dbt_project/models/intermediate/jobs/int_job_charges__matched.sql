-- What config/job_costs.csv attributes to jobs: one row per day, rule, bill, payer and resource, with the day's cost of the charges that the
-- rule names. A charge follows the first rule that names it (by rule_id). What goes to a node is in the cost of those who held it already.
with charges as (
    select
        timed.slot_start_at::date as usage_date, timed.source_name, timed.billed_by, timed.billing_period, timed.service_name,
        coalesce(timed.component, case when timed.charge_category in ('Usage', 'Purchase') then coalesce(timed.service_category, 'Other')
            else timed.charge_category end) as component,
        timed.resource_id, timed.team, timed.currency_code, sum(timed.cost) as cost
    from {{ ref('int_charges__timed') }} as timed
    anti join {{ ref('int_charges__attached') }} as attached
        on timed.slot_start_at::date = attached.usage_date and timed.charge_date = attached.charge_date
        and timed.source_name = attached.source_name and timed.file_name = attached.file_name
        and timed.file_row = attached.file_row and timed.resource_id is not distinct from attached.resource_id
    where not timed.is_node and {{ in_build_days('timed.slot_start_at::date') }}
    group by all
),

named as (
    select charges.*, rules.rule_id, rules.component as job_component, lower(trim(rules.driver)) as driver
    from charges
    inner join {{ source('config', 'job_costs') }} as rules
        on {{ in_force('rules', 'charges.usage_date') }} and {{ names_charge('rules.cost', 'charges') }}
    qualify row_number() over (
        partition by charges.usage_date, charges.source_name, charges.billed_by, charges.billing_period, charges.service_name,
            charges.component, charges.resource_id, charges.team, charges.currency_code
        order by rules.rule_id
    ) = 1
)

select
    usage_date, rule_id, job_component as component, driver, source_name, billed_by, billing_period, resource_id, team, currency_code,
    sum(cost) as cost
from named
group by all
