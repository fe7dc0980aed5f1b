-- The ledger as it should stand: one row per posting key, debits positive, credits negative; the sum is 0. The ledger is brought to it by
-- postings of the difference. Charges are debits of a cost object (`bucket` is set); their credit goes to the bridge to the bill, to the own
-- ledger where that is the bill, to the accrual for what is not billed yet, or, for a markup, to the margin. Charges
-- belong to the month of usage, the bill's side (basis `invoiced`) to the month of the bill.
{{ config(materialized='view') }}
{% set dimensions = ['invoice_id', 'commitment_id', 'team', 'cost_centre', 'tenant', 'project', 'bucket', 'component', 'service_name', 'gpu_model',
    'model', 'rule'] -%}

select
    case when bucket = 'rounding' then 'rounding' when component = 'Tax' then 'tax' else 'cost' end as account,
    usage_date, billing_period, source_name, billed_by, basis,
    null::varchar as invoice_id, null::varchar as commitment_id, team, cost_centre, tenant, project, bucket, component, service_name, gpu_model,
    model, rule, currency_code, charged_cost as posted_cost
from {{ ref('int_ledger__charges') }}

union all

select
    case when charges.basis = 'estimated' then 'accrual' when coalesce(sources.is_own, false) then 'own_ledger' else 'bridge' end as account,
    charges.usage_date, charges.billing_period, charges.source_name, charges.billed_by, charges.basis,
    {% for name in dimensions %}null, {% endfor %}charges.currency_code, (-sum(charges.charged_cost))::decimal(38, 12)
from {{ ref('int_chargeback_days') }} as charges
left join {{ source('config', 'sources') }} as sources on charges.source_name = sources.source_name
group by all

union all

select
    account, usage_date, billing_period, source_name, billed_by, 'invoiced',
    invoice_id, commitment_id, {% for name in dimensions[2:] %}null, {% endfor %}currency_code, cost
from {{ ref('int_ledger__bills') }}

union all

select
    'cost', usage_date, usage_period, '(internal prices)', null, basis, null, null, team, cost_centre, null, null, 'allocated', 'markup', null,
    gpu_model, model, 'internal_prices/' || component, currency_code, sum(margin_cost)::decimal(38, 12)
from {{ ref('int_ledger__margins') }}
group by all
having sum(margin_cost) <> 0

union all

select
    'margin', usage_date, usage_period, '(internal prices)', null, basis,
    {% for name in dimensions %}null, {% endfor %}currency_code, (-sum(margin_cost))::decimal(38, 12)
from {{ ref('int_ledger__margins') }}
where margin_cost <> 0
group by all
