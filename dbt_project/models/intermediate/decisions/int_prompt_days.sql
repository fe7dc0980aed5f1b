-- Prompts that requests name by their hash: one row per day, what requests are told apart by here, and hash. Retries of a request ask nothing new.
select
    usage_date,
    provider,
    model,
    model_version,
    tenant,
    lower(trim(kind)) as request_kind,
    prompt_hash,
    count(*) as request_count,
    count(*) filter (where not coalesce(is_cached, false)) as uncached_count,
    sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) filter (where not coalesce(is_cached, false))::bigint as token_count
from {{ ref('int_requests') }}
where prompt_hash is not null and not is_retry and {{ in_build_days('usage_date') }}
group by all
