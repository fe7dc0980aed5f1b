-- One row per invocation that a vendor's own log names (sources with `vendor_log: true`), each row sent twice once. It is compared with
-- what was logged here and never counted.
select
    requests.*,
    requests.requested_at::date as usage_date
from {{ source('raw', 'requests') }} as requests
where not {{ is_own_log('requests.source_name') }}
qualify requests.request_id is null or row_number() over (
    partition by requests.source_name, requests.request_id order by requests.requested_at, requests.file_name, requests.file_row
) = 1
