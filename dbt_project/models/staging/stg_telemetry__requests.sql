-- One row per model invocation that was logged here; the vendor's own logs are stg_telemetry__vendor_requests. Absent token counts
-- stay NULL.
select
    requests.*,
    requests.requested_at::date as usage_date
from {{ source('raw', 'requests') }} as requests
where {{ is_own_log('requests.source_name') }}
