-- One row per model invocation. Absent token counts stay NULL.
select
    requests.*,
    requests.requested_at::date as usage_date
from {{ source('raw', 'requests') }} as requests
