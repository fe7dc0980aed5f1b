-- Metrics of tokens: how many, at what cost, how fast, from caches, retrieved, asked again, and by tenant.
{{ config(materialized='table') }}
{% set dimensions = request_metric_dimensions() -%}
{% set cost_reason = 'no bill and no price of what served the requests' -%}

with requests as (
    {{ requests_for_metrics() }}
),

grouped as (
    {{ metric_groups('requests', dimensions, {
        'requests': 'sum(request_count)', 'tokens': 'sum(token_count)', 'input': 'sum(input_tokens)', 'output': 'sum(output_tokens)',
        'cached_input': 'sum(cached_input_tokens)', 'reasoning': 'sum(reasoning_tokens)', 'cached': 'sum(cached_count)',
        'cached_known': 'sum(request_count) filter (where cached_count is not null)',
        'saving': 'sum(cache_saving_cost)', 'saving_known': 'bool_and(cache_saving_cost is not null or coalesce(cached_input_tokens, 0) = 0)',
        'vendor_cost': 'sum(vendor_cost)', 'vendor_tokens': 'sum(token_count) filter (where vendor_cost is not null)',
        'cost': 'sum(full_cost)', 'cost_tokens': 'sum(token_count) filter (where full_cost is not null)',
        'own_hours': sum_hours('gpu_hours'), 'own_tokens': 'sum(token_count) filter (where gpu_hours is not null)',
        'latency': sum_hours('case when timed_count > 0 then latency_ms end'), 'timed_tokens': 'sum(token_count) filter (where timed_count > 0)',
        'first_token': sum_hours('time_to_first_token_ms'), 'first_token_requests': 'sum(request_count) filter (where time_to_first_token_ms is not null)',
        'retrievals': 'sum(retrieval_count)', 'documents': 'sum(retrieved_documents)', 'retrieved': 'sum(retrieved_tokens)',
        'basis': metric_basis('basis'),
    }) }}
),

percentiles as (
    {{ day_percentiles('tokens_per_request_p50', 'tokens_per_request_p95') }}
    union all
    {{ month_percentiles('token_count') }}
),

series as (
    select usage_date, 'all' as dimension, null as dimension_value, sum(full_cost)::double * 1000000 / nullif(sum(token_count), 0) as cost_per_million,
        {{ metric_basis('basis') }} as basis
    from requests where full_cost is not null group by usage_date
    union all
    select usage_date, 'model' as dimension, model, sum(full_cost)::double * 1000000 / nullif(sum(token_count), 0), {{ metric_basis('basis') }}
    from requests where full_cost is not null and model is not null group by usage_date, model
),

scored as (
    {{ robust_scores('series', by=['dimension', 'dimension_value'], value='cost_per_million') }}
),

scores as (
    select 'day' as grain, usage_date as period_start_at, usage_date + 1 as period_end_at, dimension, dimension_value, score, basis
    from scored
    union all
    select
        'month' as grain, date_trunc('month', usage_date)::date as period_start_at, (date_trunc('month', usage_date) + interval 1 month)::date,
        dimension, dimension_value, max(score), {{ metric_basis('basis') }}
    from scored
    group by all
),

tenants as (
    {{ metric_groups('requests', ['tenant'], {'cost': 'sum(full_cost)', 'basis': metric_basis('basis')}) }}
)

{{ metric_rows('grouped', [
    {'metric_id': 'tok.tokens_per_request', 'measure': 'mean', 'value': 'tokens::double / nullif(requests, 0)', 'basis': "'billed'", 'reason': 'no requests'},
    {'metric_id': 'tok.tokens_per_request', 'measure': 'input', 'value': 'input::double / nullif(requests, 0)', 'basis': "'billed'",
        'reason': 'no log counts input tokens'},
    {'metric_id': 'tok.tokens_per_request', 'measure': 'output', 'value': 'output::double / nullif(requests, 0)', 'basis': "'billed'",
        'reason': 'no log counts output tokens'},
    {'metric_id': 'tok.tokens_per_request', 'measure': 'cached', 'value': 'cached_input::double / nullif(requests, 0)', 'basis': "'billed'",
        'reason': 'no log counts cached tokens'},
    {'metric_id': 'tok.tokens_per_request', 'measure': 'reasoning', 'value': 'reasoning::double / nullif(requests, 0)', 'basis': "'billed'",
        'reason': 'no log counts tokens of reasoning'},
    {'metric_id': 'tok.vendor_cost_per_million', 'measure': 'value', 'value': 'vendor_cost::double * 1000000 / nullif(vendor_tokens, 0)',
        'reason': 'no vendor bills these requests, or its bill and prices are not known'},
    {'metric_id': 'tok.full_cost_per_million', 'measure': 'value', 'value': 'cost::double * 1000000 / nullif(cost_tokens, 0)', 'reason': cost_reason},
    {'metric_id': 'tok.tokens_per_second', 'measure': 'value', 'value': 'timed_tokens * 1000.0 / nullif(latency, 0)', 'basis': "'billed'",
        'reason': 'no latency is known'},
    {'metric_id': 'tok.latency_per_token', 'measure': 'value', 'value': 'latency / nullif(timed_tokens, 0)', 'basis': "'billed'", 'reason': 'no latency is known'},
    {'metric_id': 'tok.latency_per_token', 'measure': 'time_to_first_token', 'value': 'first_token / nullif(first_token_requests, 0)', 'basis': "'billed'",
        'reason': 'no time to the first token is known'},
    {'metric_id': 'tok.cache_hit_ratio', 'measure': 'requests', 'value': 'cached::double / nullif(cached_known, 0)', 'basis': "'billed'",
        'reason': 'no log says which requests a cache answered'},
    {'metric_id': 'tok.cache_hit_ratio', 'measure': 'tokens', 'value': 'cached_input::double / nullif(input, 0)', 'basis': "'billed'",
        'reason': 'no log counts cached tokens'},
    {'metric_id': 'tok.cache_hit_ratio', 'measure': 'saving', 'value': 'case when saving_known and cached_input is not null then saving end',
        'basis': "'estimated'", 'reason': 'the price book lacks a price of cached or plain input, or no log counts cached tokens'},
    {'metric_id': 'tok.gpu_hours_per_million', 'measure': 'value', 'value': 'own_hours * 1000000 / nullif(own_tokens, 0)', 'reason': 'no own GPUs served them'},
    {'metric_id': 'tok.tokens_per_retrieval', 'measure': 'tokens', 'value': 'retrieved::double / nullif(retrievals, 0)', 'basis': "'billed'",
        'reason': 'no log counts retrievals and their tokens'},
    {'metric_id': 'tok.tokens_per_retrieval', 'measure': 'documents', 'value': 'documents::double / nullif(retrievals, 0)', 'basis': "'billed'",
        'reason': 'no log counts retrievals and their documents'},
]) }}

union all

{{ metric_rows('percentiles', [
    {'metric_id': 'tok.tokens_per_request', 'measure': 'p50', 'value': 'p50', 'reason': 'tokens are not counted'},
    {'metric_id': 'tok.tokens_per_request', 'measure': 'p95', 'value': 'p95', 'reason': 'tokens are not counted'},
]) }}

union all

{{ metric_rows('scores', [{'metric_id': 'tok.cost_anomaly_score', 'measure': 'score', 'value': 'score', 'reason': 'fewer than 7 days before it, or none with a cost'}]) }}

union all

{{ metric_rows('tenants', [{'metric_id': 'tok.tenant_cost', 'measure': 'value', 'value': 'cost', 'reason': cost_reason}]) }}

union all

select * from {{ ref('int_metrics__prompts') }}
