-- One row per source and billing period: what was delivered is loaded or in quarantine, and what is effective is allocated or
-- in a named bucket. Deltas are 0, to the last digit. Row counts are of whole deliveries: a period shows those of its source.
-- A register's row becomes a line a day: its rows are compared with those loaded, not with lines.
with charges as (
    select
        source_name,
        billing_period,
        count(*) as row_count,
        sum(reporting_billed_cost) as billed_cost,
        sum(reporting_effective_cost) as effective_cost,
        min(currency_code) as currency_code
    from {{ ref('fct_charges') }}
    group by source_name, billing_period
),

charged as (
    select
        source_name,
        billing_period,
        count(*) as row_count,
        sum(case when bucket = 'allocated' then charged_cost else 0 end) as allocated_cost,
        sum(case when bucket = 'idle' then charged_cost else 0 end) as idle_cost,
        sum(case when bucket = 'unowned' then charged_cost else 0 end) as unowned_cost,
        sum(case when bucket not in ('allocated', 'idle', 'unowned', 'rounding') then charged_cost else 0 end) as other_bucket_cost,
        sum(case when bucket = 'rounding' then charged_cost else 0 end) as rounding_cost
    from {{ ref('int_chargeback_days') }}
    -- before sharing: what is shared adds up to nothing, and moves what was idle out of its bucket
    where basis = 'billed' and component not like 'shared: %'
    group by source_name, billing_period
),

-- what lies below the 12th digit of the sums
digits as (
    select
        source_name,
        billing_period,
        sum(reporting_effective_cost) - sum(reporting_effective_cost::decimal(38, 12)) as beyond_12_digits
    from {{ ref('fct_charges') }}
    group by source_name, billing_period
),

delivered as (
    select
        source_name,
        sum(rows_delivered)::bigint as rows_delivered,
        sum(rows_loaded)::bigint as rows_loaded,
        sum(rows_quarantined)::bigint as rows_quarantined,
        bool_and(table_name = 'billing_lines') as is_bill
    from {{ source('meta', 'deliveries') }}
    where is_current and table_name in ('billing_lines', 'assets', 'asset_costs')
    group by source_name
),

loaded as (
    select
        lines.source_name,
        case when coalesce(delivered.is_bill, true) then lines.row_count else delivered.rows_loaded end as rows_in_marts
    from (select source_name, count(*) as row_count from {{ ref('fct_charges') }} group by source_name) as lines
    left join delivered on lines.source_name = delivered.source_name
)

select
    coalesce(charges.source_name, charged.source_name) as source_name,
    coalesce(charges.billing_period, charged.billing_period) as billing_period,
    delivered.rows_delivered,
    loaded.rows_in_marts as rows_loaded,
    delivered.rows_quarantined,
    delivered.rows_delivered - loaded.rows_in_marts - delivered.rows_quarantined as rows_delta,
    charges.billed_cost,
    charges.effective_cost,
    charged.allocated_cost::decimal(38, 20) as allocated_cost,
    charged.idle_cost::decimal(38, 20) as idle_cost,
    charged.unowned_cost::decimal(38, 20) as unowned_cost,
    charged.other_bucket_cost::decimal(38, 20) as other_bucket_cost,
    -- the rounding bucket, and the digits below its own last one
    digits.beyond_12_digits::decimal(38, 20) as rounding_cost,
    (charges.effective_cost - charged.allocated_cost - charged.idle_cost - charged.unowned_cost - charged.other_bucket_cost
        - digits.beyond_12_digits)::decimal(38, 20) as cost_delta,
    charges.currency_code,
    charges.row_count + coalesce(charged.row_count, 0) as rows_compared
from charges
full join charged on charges.source_name = charged.source_name and charges.billing_period = charged.billing_period
left join digits on charges.source_name = digits.source_name and charges.billing_period = digits.billing_period
left join delivered on charges.source_name = delivered.source_name
left join loaded on charges.source_name = loaded.source_name
