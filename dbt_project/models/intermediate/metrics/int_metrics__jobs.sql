-- Metrics of jobs. A job counts whole, with all its attempts, on the last day of what it held: what still runs or waits does not count yet; what
-- is spent by the hour counts by the day it was spent. What serves a model is no job.
{{ config(materialized='table') }}
{% set dimensions = ['workload', 'holder_kind', 'team', 'cost_centre', 'cluster', 'account', 'namespace', 'experiment'] -%}

with ended as (
    select
        jobs.*,
        jobs.job_name as workload,
        jobs.full_cost::double as whole_cost,
        (jobs.last_ended_at - interval 1 microsecond)::date as ended_date
    from {{ ref('fct_jobs') }} as jobs
    where jobs.last_ended_at is not null and jobs.outcome not in ('running', 'pending') and not jobs.is_serving
),

jobs as (
    {{ metric_groups('ended', dimensions, {
        'jobs': 'count(*)::double',
        'successes': 'count(*) filter (where is_success)::double',
        'attempts': 'sum(attempts)::double',
        'retries': 'sum(retries)::double',
        'full_cost': sum_if_all('full_cost') ~ '::double',
        'cost': sum_if_all('cost') ~ '::double',
        'success_cost': 'case when count(success_cost) = count(*) filter (where is_success) then coalesce(sum(success_cost), 0) end::double',
        'failed_cost': sum_if_all('failed_cost') ~ '::double',
        'lost_cost': sum_if_all('lost_cost') ~ '::double',
        'startup_cost': 'sum(startup_cost)::double',
        'starts_known': 'count(startup_seconds)',
        'cpu_seconds': sum_hours('cpu_seconds'),
        'cpu_jobs': 'count(cpu_seconds)',
        'memory_gb_seconds': sum_hours('memory_gb_seconds'),
        'memory_jobs': 'count(memory_gb_seconds)',
        'egress_bytes': sum_hours('egress_bytes'),
        'egress_jobs': 'count(egress_bytes)',
        'storage_ops': sum_hours('storage_ops'),
        'storage_jobs': 'count(storage_ops)',
        'people_minutes': sum_hours('people_minutes'),
        'people_cost': 'case when count(people_cost) = count(people_minutes) then sum(people_cost) end::double',
        'observability_cost': 'sum(observability_cost)::double',
        'observed_jobs': 'count(observability_cost)',
        'latency': 'quantile_cont(latency_seconds::double, [0.5, 0.95, 0.99])',
        'costs': 'case when count(whole_cost) = count(*) then quantile_cont(whole_cost, [0.5, 0.95]) end',
        'deviation': 'case when count(whole_cost) = count(*) then stddev_samp(whole_cost order by whole_cost) end',
        'cost_reason': 'min(cost_reason)',
        'lost_reason': 'min(lost_reason)',
        'basis': metric_basis('basis'),
    }, day='ended_date', only_by_month=['workload']) }}
),

spent as (
    {{ metric_groups(ref('int_job_metric_days'), dimensions, {
        'cost': 'sum(cost)::double',
        'overhead': sum_hours('overhead_cost'),
        'startup': 'coalesce(sum(startup_cost), 0)::double',
        'all_known': 'bool_and(start_is_known)',
        'lacking': 'sum(hours_without_cost)',
        'cost_reason': 'min(cost_reason)',
        'basis': metric_basis('basis'),
    }, only_by_month=['workload']) }}
)

{% set unpriced = "coalesce(cost_reason, 'a job has no cost')" -%}
{% set per_success = "case when successes = 0 then 'no job succeeded' else " ~ unpriced ~ " end" -%}
{% set used = 'nobody reported it (resource_usage)' -%}
{% set rows = [
    ['job.cost_per_success', 'all_attempts', 'full_cost / nullif(successes, 0)', per_success, 'basis'],
    ['job.cost_per_success', 'successful_only', 'success_cost / nullif(successes, 0)', per_success, 'basis'],
    ['job.cost_per_attempt', 'value', 'cost / attempts', unpriced, 'basis'],
    ['job.latency', 'p50', 'latency[1]', "'no job succeeded'", "'billed'"],
    ['job.latency', 'p95', 'latency[2]', "'no job succeeded'", "'billed'"],
    ['job.latency', 'p99', 'latency[3]', "'no job succeeded'", "'billed'"],
    ['job.support_minutes', 'minutes', 'people_minutes', "'no time of people names a job'", "'billed'"],
    ['job.support_minutes', 'cost', 'people_cost',
        "case when people_minutes is null then 'no time of people names a job' else 'a role has no rate in config/people_rates.csv' end", "'billed'"],
    ['job.retry_ratio', 'ratio', 'retries / attempts', "'no attempt'", "'billed'"],
    ['job.failed_cost', 'total', 'failed_cost', unpriced, 'basis'],
    ['job.failed_cost', 'lost', 'lost_cost', "coalesce(lost_reason, cost_reason, 'a job has no cost')", 'basis'],
    ['job.cold_start_cost', 'value', 'startup_cost', "'no work of a job says when it had started (work)'",
        "case when starts_known < jobs then 'partial' else basis end"],
    ['job.cost_variance', 'stddev', 'deviation', "case when costs is null then " ~ unpriced ~ " else 'needs two jobs' end", 'basis'],
    ['job.cost_variance', 'p50', 'costs[1]', unpriced, 'basis'],
    ['job.cost_variance', 'p95', 'costs[2]', unpriced, 'basis'],
    ['job.cost_variance', 'p95_to_p50', 'costs[2] / nullif(costs[1], 0)', "case when costs is null then " ~ unpriced ~ " else 'p50 is 0' end", 'basis'],
    ['job.burn_rate', 'jobs_per_hour', 'jobs / ' ~ period_hours(), "'no job ended'", "'billed'"],
] -%}
{% for metric_id, figure, known, reason in [
    ('job.cpu_seconds', 'cpu_seconds', 'cpu_jobs', used),
    ('job.memory_gb_seconds', 'memory_gb_seconds', 'memory_jobs', used),
    ('job.egress_bytes', 'egress_bytes', 'egress_jobs', 'no driver bytes_out names a job (usage_drivers)'),
    ('job.storage_ops', 'storage_ops', 'storage_jobs', 'no driver storage_ops names a job (usage_drivers)'),
    ('job.observability_cost', 'observability_cost', 'observed_jobs', 'no rule for observability in config/job_costs.csv gives a job a part'),
] -%}
    {% set basis = "case when " ~ known ~ " < jobs then 'partial' else 'billed' end" -%}
    {% do rows.append([metric_id, 'total', figure, "'" ~ reason ~ "'", basis]) -%}
    {% do rows.append([metric_id, 'per_job', figure ~ ' / nullif(' ~ known ~ ', 0)', "'" ~ reason ~ "'", basis]) -%}
{% endfor -%}
{% set metrics = [] -%}
{% for metric_id, measure, value, reason, basis in rows -%}
    {% do metrics.append({'metric_id': metric_id, 'measure': measure, 'value': value, 'reason_sql': reason, 'basis': basis}) -%}
{% endfor -%}
{{ metric_rows('jobs', metrics) }}

union all

{{ metric_rows('spent', [
    {'metric_id': 'job.burn_rate', 'measure': 'cost_per_hour', 'value': 'case when lacking = 0 then cost / ' ~ period_hours() ~ ' end',
        'reason_sql': unpriced},
    {'metric_id': 'job.amortized_infra', 'measure': 'value', 'value': 'case when lacking = 0 then overhead + startup end', 'reason_sql': unpriced,
        'basis': "case when all_known then basis else 'partial' end"},
]) }}
