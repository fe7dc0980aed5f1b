-- What a log of requests tells at all: one row per day and source, with how many rows say something of cold starts, caches, tries, fallbacks and
-- batches. What no row of a log ever says is not known, and not 0.
select
    usage_date,
    source_name,
    count(*) as row_count,
    count(is_cold) as cold_rows,
    count(is_cached) as cached_rows,
    count(coalesce(idempotency_key, retry_of)) as try_rows,
    count(fallback_of) as fallback_rows,
    count(batch_size) as batch_rows
from {{ ref('int_requests') }}
where {{ in_build_days('usage_date') }}
group by all
