-- How long invocations took, counted: one row per day, provider, model, version, variant and latency, kept to three digits. So percentiles of
-- any period and of several of these together can be worked out within 0.5 %, without looking at each request again.
select
    usage_date,
    provider,
    model,
    model_version,
    variant,
    {{ three_digits('latency_ms') }}::double as latency_ms,
    count(*) as row_count
from {{ ref('int_requests') }}
where latency_ms is not null and {{ in_build_days('usage_date') }}
group by all
