-- What the requests cost that jobs asked for: one row per day and job as it was named. Model and supporting cost of each request, without
-- amortised training, which other days decide. Days are looked at request by request only where a request of the build names a job.
{% set asking %}select 1 from {{ ref('int_job_requests') }} where {{ in_build_days('usage_date') }} limit 1{% endset -%}
{%- set is_asked = finds_rows(asking) -%}

with asked as (
    select usage_date, source_name, request_id, job_id
    from {{ ref('int_job_requests') }}
    where {{ in_build_days('usage_date') }}
)

select
    asked.usage_date,
    asked.job_id,
    count(*) as request_count,
    count(*) filter (
        where coalesce(requests.vendor_cost, requests.serving_cost) is null and not requests.is_cached
    ) as unpriced_count,
    sum(coalesce(requests.vendor_cost, 0) + coalesce(requests.serving_cost, 0) + coalesce(requests.supporting_cost, 0))::decimal(38, 12) as cost
from {% if is_asked %}{{ ref('fct_requests') }}{% else %}(select * from {{ ref('fct_requests') }} limit 0){% endif %} as requests
inner join asked
    on requests.usage_date = asked.usage_date and requests.source_name = asked.source_name and requests.request_id = asked.request_id
where requests.usage_date in (select distinct days.usage_date from asked as days)
group by asked.usage_date, asked.job_id
