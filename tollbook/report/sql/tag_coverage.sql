-- One row per month (the newest three) and required tag, over all sources: what carries the tag, by money and resource.
select
    period,
    tag,
    sum(tagged_cost) as tagged_cost,
    sum(total_cost) as total_cost,
    sum(tagged_cost)::double / nullif(sum(total_cost)::double, 0) as coverage_by_cost_ratio,
    sum(tagged_resources)::bigint as tagged_resources,
    sum(total_resources)::bigint as total_resources,
    sum(tagged_resources) / nullif(sum(total_resources), 0) as coverage_by_resource_ratio
from quality.fct_tag_coverage
where period >= (
    select date_trunc('month', max(period)) - interval 2 month from quality.fct_tag_coverage
)
group by all
order by period desc, tag
