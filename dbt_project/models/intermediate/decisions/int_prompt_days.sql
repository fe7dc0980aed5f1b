-- Prompts that requests name by their hash: one row per day, what requests are told apart by here, and hash. Retries of a request ask nothing
-- new; a row of a sampled log stands for as many as it says.
select
    usage_date,
    provider,
    model,
    model_version,
    tenant,
    lower(trim(kind)) as request_kind,
    prompt_hash,
    round(sum(coalesce(sample_weight, 1)))::bigint as request_count,
    round(sum(case when coalesce(is_cached, false) then 0 else coalesce(sample_weight, 1) end))::bigint as uncached_count,
    round(sum(case
        when coalesce(is_cached, false) then 0
        else (coalesce(input_tokens, 0) + coalesce(output_tokens, 0))::decimal(30, 0) * coalesce(sample_weight, 1)
    end))::bigint as token_count
from {{ ref('int_requests') }}
where prompt_hash is not null and not is_retry and {{ in_build_days('usage_date') }}
group by all
