-- Metrics of GPU time and its price, from the day-aggregates of GPU-hours.
{{ config(materialized='table') }}
{% set dimensions = ['provider', 'region', 'cluster', 'pool', 'gpu_model', 'team', 'cost_centre', 'tenant', 'model'] -%}

with days as (
    select days.*, days.held_cost::double * coalesce(overhead.overhead_ratio, 0) as overhead_cost
    from {{ ref('int_gpu_metric_days') }} as days
    left join {{ ref('int_overhead_days') }} as overhead on days.usage_date = overhead.usage_date and days.team = overhead.team
),

groups as (
    {{ metric_groups('days', dimensions, {
        'existing': 'sum(existing_hours)::double',
        'held': 'sum(held_hours)::double',
        'promised': 'sum(promised_hours)::double',
        'productive': 'sum(productive_hours)::double',
        'observed': 'sum(observed_hours)::double',
        'busy': 'sum(busy_hours)::double',
        'seen': 'sum(seen_hours)::double',
        'cost': 'sum(cost)::double',
        'held_cost': 'sum(held_cost)::double',
        'observed_cost': 'sum(observed_cost)::double',
        'attached': sum_hours('held_cost::double * attached_ratio'),
        'amortised': sum_hours('held_cost::double * amortised_ratio'),
        'overhead': sum_hours('overhead_cost'),
        'observed_overhead': sum_hours('case when held_cost > 0 then overhead_cost * observed_cost::double / held_cost::double end'),
        'lacking': 'sum(hours_without_cost)::double',
        'cost_reason': 'min(cost_reason)',
        'basis': metric_basis('basis'),
    }) }}
),

billed_groups as (
    {{ metric_groups(ref('int_gpu_billed_days'), ['provider', 'region', 'cluster', 'pool', 'gpu_model', 'team', 'cost_centre'], {
        'gpu_hours': sum_hours('gpu_hours'),
        'basis': "'billed'",
    }) }}
),

price_groups as (
    select
        *,
        case when lacking > 0 then coalesce(cost_reason, 'a node has no cost') when held > 0 then null else 'nobody held a GPU' end as held_reason
    from groups
),

-- what a day's price was, by dimension
prices as (
    select
        date_trunc('month', period_start_at)::date as month_start_at, dimension, dimension_value, basis,
        (held_cost + overhead) / held as price, period_start_at
    from groups
    where grain = 'day' and held > 0 and lacking = 0
),

variances as (
    select
        'month' as grain,
        month_start_at as period_start_at,
        (month_start_at + interval 1 month)::date as period_end_at,
        dimension,
        dimension_value,
        count(*) as days,
        stddev_samp(price order by period_start_at) as deviation,
        avg(price order by period_start_at) as mean,
        {{ metric_basis('basis') }} as basis
    from prices
    group by all
)

{{ metric_rows('billed_groups', [
    {'metric_id': 'gpu.billed_gpu_hours', 'measure': 'value', 'value': 'gpu_hours', 'reason': 'no bill of GPU nodes'},
]) }}

union all

{% set unheld = 'held_reason' -%}
{{ metric_rows('price_groups', [
    {'metric_id': 'gpu.job_gpu_hours', 'measure': 'value', 'value': 'promised', 'reason': 'nobody held a GPU', 'basis': "'billed'"},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'allocated', 'value': 'case when held_reason is null then (held_cost + overhead) / held end',
        'reason_sql': unheld},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'used',
        'value': 'case when lacking = 0 and productive > 0 then (observed_cost + coalesce(observed_overhead, 0)) / productive end',
        'reason_sql': "case when lacking > 0 then held_reason else 'no sample saw a held GPU at work' end",
        'basis': "case when observed < held then 'partial' else basis end"},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'existing', 'value': 'case when lacking = 0 and existing > 0 then cost / existing end',
        'reason_sql': "case when lacking > 0 then held_reason else 'no GPU existed' end"},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'loaded', 'value': 'case when held_reason is null then (cost + overhead) / held end',
        'reason_sql': unheld, 'where': "dimension not in ('team', 'cost_centre', 'tenant', 'model')"},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'direct',
        'value': 'case when held_reason is null then (held_cost - attached - amortised) / held end', 'reason_sql': unheld},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'attached', 'value': 'case when held_reason is null then attached / held end',
        'reason_sql': unheld},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'amortised', 'value': 'case when held_reason is null then amortised / held end',
        'reason_sql': unheld},
    {'metric_id': 'gpu.cost_per_gpu_hour', 'measure': 'overhead', 'value': 'case when held_reason is null then overhead / held end',
        'reason_sql': unheld},
    {'metric_id': 'gpu.utilization', 'measure': 'existing', 'value': 'busy / nullif(seen, 0)', 'reason': 'no sample saw a GPU',
        'basis': "case when seen < existing then 'partial' else 'billed' end", 'where': "dimension not in ('team', 'cost_centre', 'tenant', 'model')"},
    {'metric_id': 'gpu.utilization', 'measure': 'allocated', 'value': 'productive / nullif(observed, 0)', 'reason': 'no sample saw a held GPU',
        'basis': "case when observed < held then 'partial' else 'billed' end"},
]) }}

union all

{{ metric_rows('variances', [
    {'metric_id': 'gpu.cost_variance', 'measure': 'stddev', 'value': 'deviation', 'reason': 'needs two days with held GPU-hours'},
    {'metric_id': 'gpu.cost_variance', 'measure': 'cv', 'value': 'case when mean > 0 then deviation / mean end',
        'reason': 'needs two days with held GPU-hours'},
]) }}
