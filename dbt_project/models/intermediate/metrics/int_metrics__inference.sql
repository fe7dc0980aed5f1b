-- Metrics of inference: what a request that succeeded costs in all and in which parts, cold starts, tries, batches, and how busy servers are.
{{ config(materialized='table') }}
{% set dimensions = request_metric_dimensions() -%}
{% set parts = {
    'compute': "component like 'serving%' or component in ('gateway', 'guardrails', 'guardrail', 'compute', 'cpu', 'gpu', 'functions', 'proxy')",
    'network': "component in ('egress', 'network', 'transfer', 'traffic', 'cdn', 'load_balancer')",
    'storage': "component in ('storage', 'vector_store', 'vector_storage', 'model_store', 'feature_store', 'cache', 'cache_storage', 'answer_cache')",
    'observability': "component in ('observability', 'telemetry', 'monitoring', 'logging', 'logs', 'tracing')",
} -%}

with requests as (
    {{ requests_for_metrics() }}
),

grouped as (
    {{ metric_groups('requests', dimensions, {
        'requests': 'sum(request_count)', 'tries': 'sum(request_count) filter (where unique_request_count is not null)',
        'uniques': 'sum(unique_request_count)', 'successes': 'sum(unique_success_count)', 'cost': 'sum(full_cost)',
        'owned_cost': 'coalesce(sum(full_cost) filter (where team is not null), 0)', 'cold': 'sum(cold_count)',
        'cold_known': 'sum(request_count) filter (where cold_count is not null)', 'cold_cost': 'sum(cold_cost) filter (where cold_count > 0)',
        'expected_cold_cost': sum_hours('expected_cold_cost'), 'basis': metric_basis('basis'),
    }) }}
),

known_parts as (
    select
        {%- for part, names in parts.items() %}
        bool_or({{ names }}) as has_{{ part }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('fct_request_components') }}
),

components as (
    select
        components.usage_date, components.cost, components.basis, components.component, components.provider_name as provider, components.model,
        components.model || '@' || components.model_version as model_version, components.model || '@' || components.variant as variant,
        components.tenant, components.feature, components.team, components.region, known_parts.*
    from {{ ref('fct_request_components') }} as components
    cross join known_parts
),

component_groups as (
    {% set figures = {'basis': metric_basis('basis')} -%}
    {% for part, names in parts.items() -%}
    {% do figures.update({part: 'case when bool_or(has_' ~ part ~ ') then coalesce(sum(cost) filter (where ' ~ names ~ '), 0) end'}) -%}
    {% endfor -%}
    {{ metric_groups('components', dimensions, figures) }}
),

-- requests that shared a batch, against what as many alone in theirs would have cost
singles as (
    select
        date_trunc('month', usage_date)::date as month_start_at, model, sum(full_cost)::double / nullif(sum(unique_success_count), 0) as single_cost
    from {{ ref('fct_batch_efficiency') }}
    where batch_band = '1' and basis not in ('partial', 'unpriced')
    group by all
),

batches as (
    select bands.*, bands.unique_success_count * singles.single_cost as expected_cost
    from {{ ref('fct_batch_efficiency') }} as bands
    left join singles on date_trunc('month', bands.usage_date)::date = singles.month_start_at and bands.model = singles.model
    where bands.batch_band <> '1'
),

batch_groups as (
    {{ metric_groups('batches', ['model', 'batch_band'], {
        'cost': 'sum(full_cost) filter (where expected_cost > 0)', 'expected_cost': sum_hours('case when full_cost is not null then expected_cost end'),
        'basis': metric_basis('basis'),
    }) }}
),

slopes as (
    select
        grain, period_start_date as period_start_at,
        (case grain when 'month' then period_start_date + interval 1 month else period_start_date + interval 1 day end)::date as period_end_at,
        case comparison when 'variants' then 'variant' else 'model' end as dimension,
        case comparison when 'variants' then model || '@' || compared_value else model end as dimension_value,
        cost_per_ms, reason as slope_reason, 'billed' as basis
    from {{ ref('fct_latency_slopes') }}
),

server_groups as (
    {{ metric_groups(ref('int_server_days'), ['model', 'pool', 'gpu_model'], {
        'busy': sum_hours('busy_gpu_hours'), 'seen': sum_hours('seen_gpu_hours'), 'held': sum_hours('gpu_hours'),
        'used_cpu': sum_hours('used_cpu_hours'), 'held_cpu': sum_hours('seen_cpu_hours'),
    }) }}
),

looked_at as (
    select *, case when seen < held then 'partial' else 'billed' end as basis from server_groups
)

{% set unpriced = 'no bill and no price of what served the requests' -%}
{{ metric_rows('grouped', [
    {'metric_id': 'inf.cost_per_inference', 'measure': 'value', 'value': 'cost::double / nullif(successes, 0)',
        'reason_sql': "case when successes = 0 then 'no request succeeded' else '" ~ unpriced ~ "' end"},
    {'metric_id': 'inf.cost_per_1k', 'measure': 'value', 'value': 'cost::double * 1000 / nullif(successes, 0)',
        'reason_sql': "case when successes = 0 then 'no request succeeded' else '" ~ unpriced ~ "' end"},
    {'metric_id': 'inf.cold_start_rate', 'measure': 'ratio', 'value': 'cold::double / nullif(cold_known, 0)', 'basis': "'billed'",
        'reason': 'no log says which requests met a cold start'},
    {'metric_id': 'inf.cold_start_rate', 'measure': 'extra_cost', 'value': '(cold_cost::double - expected_cold_cost) / nullif(cold, 0)',
        'reason_sql': "case when cold = 0 then 'no request met a cold start' when cold is null then 'no log says which requests met a cold start'
            else 'what a cold or a warm request costs is not known' end"},
    {'metric_id': 'inf.retry_inflation', 'measure': 'ratio', 'value': 'tries::double / nullif(uniques, 0)', 'basis': "'billed'",
        'reason': 'no log says which requests are tries of one'},
    {'metric_id': 'inf.attribution_coverage', 'measure': 'ratio', 'value': 'owned_cost::double / nullif(cost, 0)', 'reason': unpriced,
        'where': "dimension <> 'team'"},
]) }}

union all

{{ metric_rows('component_groups', [
    {'metric_id': 'inf.compute_cost', 'measure': 'value', 'value': 'compute', 'reason': 'no cost of requests is one of compute'},
    {'metric_id': 'inf.network_cost', 'measure': 'value', 'value': 'network', 'reason': 'no rule of supporting_costs.csv names a cost of transfer'},
    {'metric_id': 'inf.storage_cost', 'measure': 'value', 'value': 'storage', 'reason': 'no rule of supporting_costs.csv names a cost of storage'},
    {'metric_id': 'inf.observability_cost', 'measure': 'value', 'value': 'observability',
        'reason': 'no rule of supporting_costs.csv names a cost of observability'},
]) }}

union all

{{ metric_rows('batch_groups', [{'metric_id': 'inf.batch_efficiency', 'measure': 'ratio', 'value': 'cost::double / nullif(expected_cost, 0)',
    'reason': 'no request of the same model was alone in its batch that month'}]) }}

union all

{{ metric_rows('slopes', [{'metric_id': 'inf.cost_latency_slope', 'measure': 'value', 'value': 'cost_per_ms', 'reason_sql': 'slope_reason'}]) }}

union all

{{ metric_rows('looked_at', [
    {'metric_id': 'inf.utilization', 'measure': 'gpu', 'value': 'busy / nullif(seen, 0)', 'reason': 'nobody looked whether the GPUs worked'},
    {'metric_id': 'inf.utilization', 'measure': 'cpu', 'value': 'used_cpu / nullif(held_cpu, 0)', 'basis': "'billed'",
        'reason': 'nobody measured the CPU time of servers'},
]) }}
