-- Requests that stand more than once in a day's log: rows sent twice once, and the tries of one request in their order. One row per try;
-- `request_key` is what its tries share (the idempotency key; else the first request that `retry_of` leads to).
{% set id_hash = hash_of(['usage_date', 'source_name', 'request_id']) -%}
{% set key_hash = hash_of(['usage_date', 'source_name', 'idempotency_key']) -%}

-- read where it is needed: together, all its columns would be kept for every reader
{% set requests %}{{ ref('stg_telemetry__requests') }} where {{ in_build_days('usage_date') }}{% endset -%}

with recursive
-- by hashes first: of millions of ids only those that may repeat are looked at again
ids as (
    select {{ id_hash }} as id_hash
    from {{ requests }} and request_id is not null
    group by all
    having count(*) > 1

    union

    select {{ hash_of(['usage_date', 'source_name', 'retry_of']) }} as id_hash from {{ requests }} and retry_of is not null
),

keys as (
    select {{ key_hash }} as key_hash
    from {{ requests }} and idempotency_key is not null
    group by all
    having count(*) > 1
),

again as (
    select *
    from {{ requests }} and coalesce(request_id, idempotency_key) is not null and (
        retry_of is not null
        or {{ id_hash }} in (select ids.id_hash from ids)
        or (idempotency_key is not null and {{ key_hash }} in (select keys.key_hash from keys))
    )
),

once as (
    select * from again
    qualify request_id is null or row_number() over (
        partition by usage_date, source_name, request_id
        order by requested_at, idempotency_key, latency_ms, output_tokens, status, delivery_id, file_name, file_row
    ) = 1
),

{{ roots_of_retries('once') }},

keyed as (
    select
        once.* replace (coalesce(once.is_cold, false) as is_cold, coalesce(once.is_cached, false) as is_cached),
        coalesce(once.idempotency_key, roots.root_id, once.request_id) as request_key,
        {{ request_succeeded('once.status') }} as is_success
    from once
    left join roots
        on once.usage_date = roots.usage_date and once.source_name = roots.source_name and once.request_id = roots.request_id
),

numbered as (
    select
        *,
        row_number() over (
            partition by usage_date, source_name, request_key order by requested_at, request_id, latency_ms, output_tokens
        ) as try_number
    from keyed
)

select
    *,
    try_number > 1 or retry_of is not null as is_retry,
    is_success and count(*) filter (where is_success) over (
        partition by usage_date, source_name, request_key order by try_number rows unbounded preceding
    ) = 1 as is_unique_success
from numbered
