-- One row per check of the newest audit: what it saw, against which threshold, and what to do where it did not pass.
{{ config(materialized='view') }}

select run_id, check_id, edge, subject, severity, status, rows_seen, observed, threshold, message, checked_at
from {{ source('meta', 'check_results') }}
where run_id = (select newest.run_id from {{ source('meta', 'check_results') }} as newest order by newest.checked_at desc limit 1)
