-- Requests with what they are told apart by (request_dimensions; the team as it was written, in lower case) and what else their price depends
-- on: region, prompt length and time of day, only for models whose prices differ by them. One row per invocation, a view.
{{ config(materialized='view') }}

select
    requests.*,
    lower(trim(requests.kind)) as request_kind,
    lower(trim(requests.team)) as team_key,
    {{ service_tier('requests.tier') }} as service_tier,
    {{ batch_band('requests.batch_size') }} as batch_band,
    case when cuts.is_by_region then nullif(lower(trim(requests.region)), '') end as priced_region,
    {{ largest_not_above('cuts.quantity_cuts', 'coalesce(requests.input_tokens, 0) + coalesce(requests.cache_write_tokens, 0)') }}
        as priced_quantity_from,
    {{ largest_not_above('cuts.day_cuts', microseconds_of_day('requests.requested_at')) }} as priced_microseconds
from {{ ref('int_requests') }} as requests
left join {{ ref('int_prices__cuts') }} as cuts
    on requests.model = cuts.usage_model and requests.provider is not distinct from cuts.usage_provider
