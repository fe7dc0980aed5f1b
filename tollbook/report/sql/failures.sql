-- Deliveries that failed and whose partition has not loaded since, the newest first.
select
    failed.source_name,
    failed.file_names::varchar as files,
    failed.loaded_at as tried_at,
    failed.error
from quality.fct_deliveries as failed
where
    failed.status = 'failed'
    and not exists (
        select 1
        from quality.fct_deliveries as later
        where
            later.source_name = failed.source_name
            and later.partition_key = failed.partition_key
            and later.status = 'loaded'
            and later.loaded_at > failed.loaded_at
    )
order by failed.loaded_at desc nulls last, failed.source_name
limit 50
