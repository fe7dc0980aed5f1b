-- Metrics of how the AI platform is run: busy pools, training, evictions, idle GPUs after scaling, tags, and unusual costs.
{{ config(materialized='table') }}

with pool_groups as (
    {{ metric_groups(ref('fct_gpu_days'), ['pool', 'gpu_model', 'cluster'], {
        'busy': sum_hours("case when layer = 'productive' then gpu_hours end"),
        'seen': sum_hours("case when layer in ('productive', 'quiet') then gpu_hours end"),
        'unseen': sum_hours("case when layer = 'unknown' and is_held then gpu_hours end"), 'basis': "case when coalesce(unseen, 0) > 0 then 'partial' else 'billed' end",
    }, where="resource = 'gpu' and pool is not null") }}
),

training_runs as (
    select days.usage_date, rules.model, days.cost
    from {{ ref('int_training_run_days') }} as days
    inner join {{ source('config', 'training_runs') }} as rules on days.rule_id = rules.rule_id
),

retrained as (
    {{ metric_groups('training_runs', ['model'], {'cost': 'sum(cost)', 'basis': "'billed'"}) }}
),

-- jobs that train: those of config/training_runs.csv, and those that say which epochs they ran. Whole jobs count in the month in which they began
trained as (
    select
        jobs.first_started_at::date as usage_date, jobs.team, jobs.full_cost as cost,
        hours.hours, jobs.basis
    from {{ ref('fct_jobs') }} as jobs
    inner join (
        select source_name, coalesce(cluster, '') as cluster, job_id,
            sum({{ microseconds_between('started_at', 'ended_at') }}) / 3600000000.0 as hours
        from {{ ref('fct_job_attempts') }}
        where ended_at > started_at
        group by all
    ) as hours on jobs.source_name = hours.source_name and coalesce(jobs.cluster, '') = hours.cluster and jobs.job_id = hours.job_id
    where jobs.epochs_run > 0 or exists (
            select rules.rule_id from {{ source('config', 'training_runs') }} as rules
            where {{ matches_glob('jobs.job_id', 'trim(rules.job)') }} or {{ matches_glob('jobs.job_name', 'trim(rules.job)') }}
        )
),

training_groups as (
    {{ metric_groups('trained', ['team'], {
        'cost': sum_if_all('cost'), 'hours': sum_hours('hours'), 'basis': metric_basis('basis')}, grains=['month']) }}
),

-- attempts on spot capacity: what was lost when it was taken away, and what starting again cost
spot as (
    select
        ended_at::date as usage_date, team, gpu_model,
        case when outcome = 'preempted' then lost_gpu_hours else 0 end as lost_hours,
        case when outcome = 'preempted' then lost_cost else 0 end
            + case when lag(outcome) over job = 'preempted' then coalesce(startup_cost, 0) else 0 end as lost_cost,
        basis
    from {{ ref('fct_job_attempts') }}
    where is_spot
    window job as (partition by source_name, cluster, job_id order by attempt)
),

spot_groups as (
    {{ metric_groups('spot', ['team', 'gpu_model'], {
        'cost': sum_if_all('lost_cost'), 'hours': 'case when count(lost_hours) = count(*) then ' ~ sum_hours('lost_hours') ~ ' end',
        'basis': metric_basis('basis')}) }}
),

-- GPUs that nobody held in the first whole hour after their pool (or cluster) was scaled
scaled as (
    select gpus.usage_date, gpus.pool, gpus.cluster, {{ sum_hours('gpus.gpu_hours') }} as idle_hours
    from {{ ref('fct_gpu_hours') }} as gpus
    where gpus.resource = 'gpu' and gpus.layer = 'idle' and exists (
            select 1 from {{ source('raw', 'events') }} as events
            where lower(trim(events.kind)) in ('scaling', 'scale_up', 'scale_down', 'autoscaling')
                and lower(trim(events.subject)) in (lower(gpus.pool), lower(gpus.cluster))
                and gpus.hour_start_at >= events.started_at and gpus.hour_start_at < events.started_at + interval 1 hour
        )
    group by all
),

scaling_groups as (
    {{ metric_groups('scaled', ['pool', 'cluster'], {'idle_hours': sum_hours('idle_hours'), 'basis': "'billed'"}) }}
),

tagged as (
    select period::date as usage_date, source_name as provider, cost, tagged_cost, resources, tagged_resources
    from {{ ref('int_tagged_whole') }}
),

tag_groups as (
    {{ metric_groups('tagged', ['provider'], {
        'cost': 'sum(cost)', 'tagged_cost': 'sum(tagged_cost)', 'resources': 'sum(resources)', 'tagged_resources': 'sum(tagged_resources)',
        'basis': "'billed'"}, grains=['month']) }}
),

anomaly_groups as (
    select
        grain, period_start_at, (period_start_at + case grain when 'month' then interval 1 month else interval 1 day end)::date as period_end_at,
        series as dimension, series_value as dimension_value, count(*) filter (where is_anomaly) as found,
        coalesce({{ sum_hours('excess_cost') }}, 0) as excess, count(score) as judged, {{ metric_basis('basis') }} as basis
    from (
        select *, 'day' as grain, usage_date as period_start_at from {{ ref('int_cost_anomalies') }}
        union all
        select *, 'month' as grain, date_trunc('month', usage_date)::date from {{ ref('int_cost_anomalies') }}
    )
    group by all
)

{{ metric_rows('pool_groups', [{'metric_id': 'ai.gpu_utilization', 'measure': 'ratio', 'value': 'busy / nullif(seen, 0)',
    'reason': 'nobody looked whether the GPUs worked'}]) }}

union all

{{ metric_rows('retrained', [{'metric_id': 'ai.retrain_cost_month', 'measure': 'value', 'value': 'cost', 'where': "grain = 'month'", 'reason': 'no cost'}]) }}

union all

{{ metric_rows('training_groups', [{'metric_id': 'ai.cost_per_training_hour', 'measure': 'value', 'value': 'cost::double / nullif(hours, 0)',
    'reason': 'what a training job costs is not known'}]) }}

union all

{{ metric_rows('spot_groups', [
    {'metric_id': 'ai.spot_eviction_impact', 'measure': 'cost', 'value': 'cost', 'reason': 'what was lost is not known'},
    {'metric_id': 'ai.spot_eviction_impact', 'measure': 'hours', 'value': 'hours', 'reason': 'what was lost is not known'},
]) }}

union all

{{ metric_rows('scaling_groups', [{'metric_id': 'ai.autoscaler_efficiency', 'measure': 'idle_gpu_hours', 'value': 'idle_hours', 'reason': 'no hours'}]) }}

union all

{{ metric_rows('tag_groups', [
    {'metric_id': 'ai.allocation_coverage', 'measure': 'cost', 'value': 'tagged_cost::double / nullif(cost, 0)', 'reason': 'nothing was billed'},
    {'metric_id': 'ai.allocation_coverage', 'measure': 'resources', 'value': 'tagged_resources::double / nullif(resources, 0)',
        'reason': 'no bill names a resource'},
]) }}

union all

{{ metric_rows('anomaly_groups', [
    {'metric_id': 'ai.cost_anomalies', 'measure': 'count', 'value': 'case when judged > 0 then found end', 'reason': 'fewer than 7 days before it'},
    {'metric_id': 'ai.cost_anomalies', 'measure': 'cost', 'value': 'case when judged > 0 then excess end', 'reason': 'fewer than 7 days before it'},
]) }}
