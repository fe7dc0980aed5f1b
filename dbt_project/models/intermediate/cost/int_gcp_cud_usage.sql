-- One row per pool and project: what of Google's bill resource-based commitments are about. A pool is what one commitment can cover:
-- Pacific day, billing account, region, kind of machine, CPU or RAM. Quantities are whole microseconds of a vCPU or byte-seconds.
-- Only built where commitments of Google Cloud are loaded: whose they are is not on the bill.
{{ config(materialized='table') }}

with described as (
    select
        source_name, file_name, file_row,
        {{ pacific_day('charge_period_start') }} as usage_date,
        billing_account_id,
        billing_currency,
        region_id,
        sub_account_id as project_id,
        sku_id,
        lower(charge_description) as sku,
        lower(consumed_unit) as unit,
        charge_category = 'Purchase' as is_fee,
        consumed_quantity,
        contracted_cost,
        other_columns
    from {{ ref('stg_billing__lines') }}
    where billed_by = 'Google Cloud' and service_name = 'Compute Engine' and charge_category in ('Usage', 'Purchase')
        and lower(consumed_unit) in ('seconds', 'hour', 'byte-seconds', 'gibibyte hour')
        and exists (select 1 from {{ ref('stg_contracts__commitments') }} as known where known.provider = 'Google Cloud')
),

-- spot machines, shared cores, custom memory beyond the limit and sole-tenant premiums are outside of any commitment
eligible as (
    select
        *,
        case
            when sku like '%megamem%' or sku like '%ultramem%' or sku like '%memory optimized%' or sku like '%memory-optimized%'
                then 'memory optimized usage'
            else 'regular usage'
        end as cud_type,
        case when unit in ('seconds', 'hour') then 'cpu' else 'ram' end as unit_type,
        -- an hour of a day that is billed by the hour counts as the whole day: such a bill states concurrency
        case unit when 'seconds' then 1000000 when 'hour' then 86400000000 when 'gibibyte hour' then 86400::hugeint * 1073741824 else 1 end
            as unit_size
    from described
    where is_fee or (
        (sku like '%instance%' or sku like '% intel %' or sku like '%memory optimized core%' or sku like '%memory optimized ram%')
        and not sku like '%preemptible%' and not sku like '%spot%' and not sku like '%micro%' and not sku like '%small%'
        and not sku like '%extended%' and not sku like '%sole tenancy%'
    )
),

credited as (
    select
        eligible.*,
        {{ json_items('other_columns', 'credits') }} as credit
    from eligible
),

credits as (
    select
        source_name, file_name, file_row,
        sum(case when kind like '%commit%' and not kind like '%dollar%' then amount else 0 end)::decimal(38, 12) as cud_credit,
        sum(case when kind like '%sustained%' then amount else 0 end)::decimal(38, 12) as sud_credit
    from (
        select
            source_name, file_name, file_row,
            lower(coalesce({{ json_field('credit', 'type') }}, '') || ' ' || coalesce({{ json_field('credit', 'name') }}, '')) as kind,
            {{ json_field('credit', 'amount') }}::decimal(38, 20) as amount
        from credited
    )
    group by source_name, file_name, file_row
),

lines as (
    select
        eligible.*,
        case when is_fee then 0 else (consumed_quantity * unit_size)::hugeint end as usage_units,
        (case when is_fee then contracted_cost else 0 end)::decimal(38, 12) as fee,
        (case when is_fee then 0 else contracted_cost end)::decimal(38, 12) as usage_cost,
        (case when is_fee then 0 else coalesce(credits.cud_credit, 0) end)::decimal(38, 12) as cud_credit,
        (case when is_fee then 0 else coalesce(credits.sud_credit, 0) end)::decimal(38, 12) as sud_credit
    from eligible
    left join credits using (source_name, file_name, file_row)
),

-- the bill states credits in money only: at the day's price of the SKU they are a quantity
priced as (
    select
        *,
        sum(usage_units) over sku_day as sku_units,
        {{ to_units('sum(usage_cost) over sku_day') }} as sku_cost_units
    from lines
    window sku_day as (partition by usage_date, billing_account_id, billing_currency, region_id, sku_id)
),

covered as (
    select
        *,
        case
            when sku_cost_units > 0
                then {{ whole_division(to_units('-cud_credit') ~ ' * sku_units::hugeint', 'sku_cost_units') }}
            else 0
        end as covered_units
    from priced
)

select
    usage_date,
    billing_account_id,
    billing_currency,
    region_id,
    cud_type,
    unit_type,
    project_id,
    sum(usage_units)::decimal(38, 0) as usage_units,
    sum(covered_units)::decimal(38, 0) as covered_units,
    sum(fee)::decimal(38, 12) as fee,
    sum(cud_credit)::decimal(38, 12) as cud_credit,
    sum(sud_credit)::decimal(38, 12) as sud_credit
from covered
group by all
