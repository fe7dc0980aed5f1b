-- One row per provider: of its newest month with usage that is final, what of its cost the log of requests and the vendor's count do not
-- agree on. Rows whose stake has no price are counted, not priced.
with final as (
    select *, date_trunc('month', usage_date) as usage_month
    from quality.fct_usage_tie_out
    where not is_open and state <> 'no_model'
)

select
    provider_name,
    max(usage_month)::date as usage_month,
    count(*) as rows_compared,
    count(*) filter (where state <> 'matched') as unmatched_rows,
    count(*) filter (where unmatched_cost is null) as unpriced_rows,
    sum(unmatched_cost) as unmatched_cost,
    sum(unmatched_cost)::double / nullif(sum(coalesce(billed_cost, vendor_list_cost, log_list_cost)), 0)::double as unmatched_ratio,
    arg_max(model || ' ' || state, unmatched_cost) as worst,
    arg_max(usage_date, unmatched_cost) as worst_date,
    max(unmatched_cost) as worst_cost,
    min(currency_code) as currency_code
from final
where usage_month = (select max(other.usage_month) from final as other where lower(other.provider_name) = lower(final.provider_name))
group by provider_name
order by provider_name
