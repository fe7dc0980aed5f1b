-- Metrics of the AI platform that requests tell: cost, latency, errors and quality of models, cost of features, and what serving costs by load.
{{ config(materialized='table') }}
{% set cost_reason = 'no bill and no price of what served the requests' -%}

with requests as (
    {{ requests_for_metrics() }}
),

grouped as (
    {{ metric_groups('requests', ['model', 'model_version', 'variant', 'provider', 'feature'], {
        'requests': 'sum(request_count)', 'errors': 'sum(error_count)', 'successes': 'sum(unique_success_count)', 'cost': 'sum(full_cost)',
        'serving_cost': 'sum(serving_cost)', 'served': 'sum(success_count) filter (where serving_cost is not null)',
        'latency': sum_hours('case when serving_cost is not null and timed_count > 0 then latency_ms end'),
        'timed_tokens': 'sum(token_count) filter (where serving_cost is not null and timed_count > 0)', 'basis': metric_basis('basis'),
    }) }}
),

percentiles as (
    select * from ({{ day_percentiles('latency_ms_p50', 'latency_ms_p95') }}) where dimension in ('all', 'provider', 'model', 'model_version', 'variant')
    union all
    {{ month_percentiles('latency_ms') }}
),

quality as (
    select
        usage_date, model, model || '@' || model_version as model_version, model || '@' || variant as variant, labelled_count,
        case when labelled_count > 0 then error_count end as error_count
    from {{ ref('int_quality_days') }}
),

quality_groups as (
    {{ metric_groups('quality', ['model', 'model_version', 'variant'], {
        'labelled': 'sum(labelled_count)', 'errors': 'sum(error_count)', 'basis': "'billed'"
    }) }}
)

{{ metric_rows('grouped', [
    {'metric_id': 'ai.cost_per_inference', 'measure': 'value', 'value': 'cost::double / nullif(successes, 0)', 'where': "dimension <> 'feature'",
        'reason_sql': "case when successes = 0 then 'no request succeeded' else '" ~ cost_reason ~ "' end"},
    {'metric_id': 'ai.error_rate', 'measure': 'ratio', 'value': 'errors::double / nullif(requests, 0)', 'basis': "'billed'", 'reason': 'no requests'},
    {'metric_id': 'ai.cost_per_feature', 'measure': 'value', 'value': 'cost', 'where': "dimension in ('feature', 'all')", 'reason': cost_reason},
    {'metric_id': 'ai.autoscaler_efficiency', 'measure': 'value', 'value': 'serving_cost::double * 3600 / nullif(served, 0)',
        'where': "dimension in ('all', 'model', 'model_version', 'variant')", 'reason': 'no own GPUs served these requests, or none succeeded'},
    {'metric_id': 'ai.autoscaler_efficiency', 'measure': 'latency_to_target', 'value': 'latency / nullif(timed_tokens, 0) / 10.0', 'basis': "'billed'",
        'where': "dimension in ('all', 'model', 'model_version', 'variant')", 'reason': 'no own GPUs served these requests, or no latency is known'},
]) }}

union all

{{ metric_rows('percentiles', [{'metric_id': 'ai.latency_p95', 'measure': 'value', 'value': 'p95', 'reason': 'no latency is known'}]) }}

union all

{{ metric_rows('quality_groups', [{'metric_id': 'ai.quality_error_rate', 'measure': 'ratio', 'value': 'errors::double / nullif(labelled, 0)',
    'reason': 'nothing was labelled'}]) }}

union all

select * from {{ ref('int_metrics__operations') }}

union all

select * from {{ ref('int_metrics__budgets') }}
