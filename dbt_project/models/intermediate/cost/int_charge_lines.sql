-- Every line that costs something, bills and the own register alike, in the columns of a bill. `component` is set where the
-- line is charged as something else than its service category.
{{ config(materialized='view') }}

select bills.*, null::varchar as component from {{ ref('stg_billing__lines') }} as bills
union all by name
select * from {{ ref('int_asset_lines') }}
