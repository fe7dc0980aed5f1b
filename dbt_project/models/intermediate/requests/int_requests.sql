-- One row per invocation of a model: each row of the logs once, with which request it is a try of. A view: requests are stored once, in raw.
{{ config(materialized='view') }}

select
    requests.* replace (coalesce(requests.is_cold, false) as is_cold, coalesce(requests.is_cached, false) as is_cached),
    coalesce(requests.idempotency_key, requests.request_id) as request_key,
    {{ request_succeeded('requests.status') }} as is_success,
    1 as try_number,
    requests.retry_of is not null as is_retry,
    {{ request_succeeded('requests.status') }} as is_unique_success
from {{ ref('stg_telemetry__requests') }} as requests
anti join {{ ref('int_requests__repeated') }} as repeated
    on requests.usage_date = repeated.usage_date and requests.source_name = repeated.source_name
    and coalesce(requests.request_id, requests.idempotency_key) = coalesce(repeated.request_id, repeated.idempotency_key)
    and (requests.request_id is null) = (repeated.request_id is null)

union all by name

select * from {{ ref('int_requests__repeated') }}
