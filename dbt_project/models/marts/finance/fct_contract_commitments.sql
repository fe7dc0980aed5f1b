-- One row per commitment of a contract: how much of it the bills so far fulfil. What counts, the lines say themselves
-- (ContractApplied), else the lines of the commitment discount of the same id; else, where it covers the whole provider, its bills.
with commitments as (
    select
        terms.* replace (coalesce(terms.billing_currency, workspace.currency_code) as billing_currency),
        coalesce(provider, invoice_issuer_name) as billed_by,
        coalesce(lower({{ json_field('applicability', 'IsGlobalScope') }}) = 'true', false) and commitment_category = 'Spend' as is_global
    from {{ ref('stg_contracts__commitments') }} as terms
    cross join {{ source('config', 'workspace') }} as workspace
),

elements as (
    select billed_by, billing_currency, {{ json_items('contract_applied', 'Elements') }} as element
    from {{ ref('fct_charges') }}
    where contract_applied is not null
),

named as (
    select
        {{ json_field('element', 'ContractCommitmentId') }} as commitment_id,
        billed_by,
        billing_currency,
        sum(try_cast({{ json_field('element', 'ContractCommitmentAppliedCost') }} as decimal(38, 20))) as applied_cost,
        sum(try_cast({{ json_field('element', 'ContractCommitmentAppliedQuantity') }} as decimal(38, 20))) as applied_quantity
    from elements
    group by {{ json_field('element', 'ContractCommitmentId') }}, billed_by, billing_currency
),

discounted as (
    select commitment_discount_id as commitment_id, billed_by, billing_currency, sum(effective_cost) as applied_cost,
        sum(commitment_discount_quantity) as applied_quantity
    from {{ ref('fct_charges') }}
    where commitment_discount_id is not null and charge_category <> 'Purchase'
    group by commitment_discount_id, billed_by, billing_currency
),

spent as (
    select commitments.commitment_id, charges.billed_by, charges.billing_currency, sum(charges.billed_cost) as applied_cost
    from commitments
    inner join {{ ref('fct_charges') }} as charges
        on commitments.billed_by = charges.billed_by and charges.charge_category <> 'Tax'
        and charges.charge_period_start >= commitments.commitment_started_at
        and charges.charge_period_start < commitments.commitment_ended_at
    where commitments.is_global
    group by commitments.commitment_id, charges.billed_by, charges.billing_currency
),

applied as (
    select
        commitments.*,
        coalesce(named.applied_cost, discounted.applied_cost, spent.applied_cost) as applied_cost,
        coalesce(named.applied_quantity, discounted.applied_quantity) as applied_quantity,
        case
            when named.commitment_id is not null then 'contract_applied'
            when discounted.commitment_id is not null then 'commitment_discount'
            when spent.commitment_id is not null then 'billed_in_term'
        end as applied_basis
    from commitments
    {% for lines in ['named', 'discounted', 'spent'] -%}
    left join {{ lines }}
        on commitments.commitment_id = {{ lines }}.commitment_id and commitments.billing_currency = {{ lines }}.billing_currency
        and coalesce(commitments.billed_by, {{ lines }}.billed_by) = {{ lines }}.billed_by
    {% endfor %}
)

select
    contract_id,
    commitment_id,
    billed_by,
    commitment_category,
    commitment_type,
    commitment_description,
    payment_model,
    commitment_started_at,
    commitment_ended_at,
    commitment_cost as committed_amount,
    applied_cost::decimal(38, 20) as applied_amount,
    (commitment_cost - applied_cost)::decimal(38, 20) as remaining_amount,
    commitment_quantity as committed_quantity,
    applied_quantity::decimal(38, 20) as applied_quantity,
    commitment_unit,
    applied_cost::double / nullif(commitment_cost::double, 0) as fulfilled_ratio,
    least(greatest(
        {{ microseconds_between('commitment_started_at', 'horizon_at') }}, 0
    )::double / {{ microseconds_between('commitment_started_at', 'commitment_ended_at') }}, 1) as elapsed_ratio,
    applied_basis,
    billing_currency,
    pricing_currency_commitment_cost as pricing_currency_amount,
    pricing_currency
from applied
cross join {{ source('meta', 'horizon') }}
