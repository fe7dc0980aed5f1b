-- What is measured stands in the catalogue, and what stands in the catalogue is measured (or NULL, with the reason), in each month.
select metric_id, measure, 'not in the catalogue' as what
from (select distinct metric_id, measure from {{ ref('metric_values') }}) as measured
where not exists (
        select 1 from {{ ref('metric_catalogue') }} as catalogue
        where catalogue.metric_id = measured.metric_id and catalogue.measure = measured.measure
    )

union all

select catalogue.metric_id, catalogue.measure, 'no value'
from {{ ref('metric_catalogue') }} as catalogue
cross join (select distinct period_start_at from {{ ref('metric_values') }} where grain = 'month') as months
where not exists (
        select 1 from {{ ref('metric_values') }} as measured
        where measured.metric_id = catalogue.metric_id and measured.measure = catalogue.measure and measured.grain = 'month'
            and measured.period_start_at = months.period_start_at
    )

union all

select metric_id, measure, 'twice in the catalogue'
from {{ ref('metric_catalogue') }}
group by metric_id, measure
having count(*) > 1
