-- A source and billing period whose charges, buckets included, are not its effective cost to the last digit.
select * from {{ ref('fct_reconciliation') }} where cost_delta <> 0 or cost_delta is null or rows_delta <> 0
