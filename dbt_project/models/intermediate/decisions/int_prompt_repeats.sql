-- Prompts seen before: one row per day, provider, model, version, tenant and kind, with how many requests named their prompt and how many of them
-- asked what the same tenant had asked the same model before, without being served from a cache; and how many inputs were embedded again
-- by the same version of a model, for whomever. A table: what was seen before was seen on other days.
{{ config(materialized='table') }}
{% set row = ['usage_date', 'provider', 'model', 'model_version', 'tenant', 'request_kind'] -%}

with asked as (
    select
        *,
        row_number() over (partition by provider, model, tenant, prompt_hash order by usage_date, model_version, request_kind) as nth,
        row_number() over (partition by provider, model, model_version, prompt_hash order by usage_date, tenant, request_kind) as nth_embedded
    from {{ ref('int_prompt_days') }}
),

counted as (
    select
        *,
        greatest(uncached_count - case when nth = 1 then 1 else 0 end, 0) as repeated_count,
        case
            when request_kind in ('embedding', 'embeddings')
                then greatest(uncached_count - case when nth_embedded = 1 then 1 else 0 end, 0)
            else 0
        end as embedded_again_count
    from asked
)

select
    {{ row | join(', ') }},
    sum(request_count)::bigint as prompt_count,
    sum(repeated_count)::bigint as repeated_count,
    sum(case when request_kind in ('embedding', 'embeddings') then uncached_count else 0 end)::bigint as embedding_count,
    sum(embedded_again_count)::bigint as embedded_again_count,
    -- of a row's uncached requests each has its mean
    sum(case when uncached_count > 0 then token_count * embedded_again_count / uncached_count else 0 end)::double as embedded_again_tokens
from counted
group by all
