-- A billing period and provider whose billed and charged cost differ by more than the named terms.
select * from {{ ref('fct_bridge') }} where term = 'remainder' and (cost <> 0 or cost is null)
