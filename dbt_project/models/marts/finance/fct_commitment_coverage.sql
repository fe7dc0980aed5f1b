-- One row per month of usage, bill, service and region in which commitments cover something: how much of what they could cover they
-- do cover, at list prices. Unknown (NULL) where a line has no list cost; how many, is counted.
with lines as (
    select
        date_trunc('month', charge_date)::date as usage_period, billed_by, service_name, region_id,
        commitment_discount_status = 'Used' or pricing_category = 'Committed' as is_covered,
        reporting_list_cost, reporting_effective_cost, currency_code
    from {{ ref('fct_charges') }}
    where charge_category = 'Usage' and coalesce(commitment_discount_status, 'Used') <> 'Unused'
        and (commitment_discount_status = 'Used' or pricing_category in ('Committed', 'Standard'))
)

select
    usage_period,
    billed_by,
    service_name,
    region_id,
    sum(case when is_covered then reporting_effective_cost else 0 end)::decimal(38, 20) as covered_cost,
    case when count(case when is_covered and reporting_list_cost is null then 1 end) = 0
        then sum(case when is_covered then reporting_list_cost else 0 end) end::decimal(38, 20) as covered_list_cost,
    case when count(*) = count(reporting_list_cost) then sum(reporting_list_cost) end::decimal(38, 20) as coverable_list_cost,
    case when count(*) = count(reporting_list_cost) then
        sum(case when is_covered then reporting_list_cost else 0 end)::double / nullif(sum(reporting_list_cost)::double, 0)
    end as coverage_ratio,
    count(*) - count(reporting_list_cost) as lines_without_list_cost,
    count(*) as line_count,
    currency_code
from lines
group by usage_period, billed_by, service_name, region_id, currency_code
having bool_or(is_covered)
