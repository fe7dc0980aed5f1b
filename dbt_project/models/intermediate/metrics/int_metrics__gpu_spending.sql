-- Metrics of what is spent on GPUs: against plan, on nobody, on spot, on epochs, and whether charges tie to the bill.
{{ config(materialized='table') }}

with burn as (
    select
        grain, period_start_at, (case grain when 'month' then period_start_at + interval 1 month else period_start_at + interval 1 day end)::date
            as period_end_at,
        dimension, dimension_value,
        max(cost_1h / nullif(planned_cost_per_hour, 0)) as ratio_1h,
        max(cost_6h / nullif(planned_cost_per_hour, 0)) as ratio_6h,
        max(cost_24h / nullif(planned_cost_per_hour, 0)) as ratio_24h,
        case
            when not bool_or(has_budget) then 'no budget of cost gpu in config/budgets.csv'
            when max(planned_cost_per_hour) is null then 'no exchange rate for the budget'
            else 'no such window lies in what is known yet'
        end as reason,
        case when bool_or(lacks_costs) then 'partial' else 'billed' end as basis
    from (
        select *, 'day' as grain, usage_date as period_start_at from {{ ref('int_gpu_burn') }}
        union all
        select *, 'month' as grain, date_trunc('month', usage_date)::date as period_start_at from {{ ref('int_gpu_burn') }}
    )
    group by grain, period_start_at, dimension, dimension_value
),

charged as (
    {{ metric_groups(ref('int_chargeback_days'), ['billed_by', 'source_name', 'component'], {
        'unowned_cost': "coalesce(sum(charged_cost) filter (where bucket = 'unowned'), 0)::double",
        'cost': 'sum(charged_cost)::double',
        'basis': metric_basis('basis'),
    }) }}
),

owned as (
    select * replace (case dimension when 'billed_by' then 'provider' when 'source_name' then 'source' else dimension end as dimension) from charged
),

spot as (
    {{ metric_groups(ref('fct_spot_effectiveness'), ['cluster', 'pool', 'gpu_model', 'purchase_option'], {
        'spot_hours': sum_hours('case when is_spot then gpu_hours end'),
        'known_hours': sum_hours('case when is_spot is not null then gpu_hours end'),
        'useful_hours': sum_hours('case when is_spot then useful_gpu_hours end'),
        'spot_cost': 'sum(useful_cost + lost_cost) filter (where is_spot)::double',
        'lacks_costs': 'coalesce(bool_or(is_spot and cost is null), false)',
        'basis': "case when count(*) filter (where is_spot is null or cost is null) > 0 then 'partial' else 'billed' end",
    }) }}
),

-- a run counts whole, on the last day of what it held
runs as (
    select
        jobs.*,
        (jobs.last_ended_at - interval 1 microsecond)::date as ended_date,
        progress.epochs_of_success
    from {{ ref('fct_jobs') }} as jobs
    inner join {{ ref('int_job_progress') }} as progress
        on jobs.source_name = progress.source_name and coalesce(jobs.cluster, '') = progress.cluster and jobs.job_id = progress.job_id
    where jobs.epochs_run is not null
),

epochs as (
    {{ metric_groups('runs', ['team', 'cost_centre', 'cluster', 'model', 'model_version', 'experiment', 'job_name'], {
        'all_cost': sum_if_all('cost') ~ '::double',
        'success_cost': 'case when count(cost) = count(*) then sum(success_cost) end::double',
        'epochs': sum_hours('epochs'),
        'epochs_of_success': sum_hours('epochs_of_success'),
        'cost_reason': 'min(cost_reason)',
        'basis': metric_basis('basis'),
    }, day='ended_date') }}
),

trained as (
    select * replace (case dimension when 'job_name' then 'workload' else dimension end as dimension) from epochs
),

bridges as (
    select
        'month' as grain,
        billing_period as period_start_at,
        (billing_period + interval 1 month)::date as period_end_at,
        case when grouping(billed_by) = 0 then 'provider' else 'all' end as dimension,
        case when grouping(billed_by) = 0 then billed_by end as dimension_value,
        sum(cost) filter (where term = 'billed')::double as billed_cost,
        sum(abs(cost)) filter (where term = 'remainder')::double as difference,
        case when coalesce(sum(cost) filter (where term = 'estimated_accrual'), 0) <> 0 then 'estimated' else 'billed' end as basis
    from {{ ref('fct_bridge') }}
    group by grouping sets ((billing_period), (billing_period, billed_by))
)

{{ metric_rows('burn', [
    {'metric_id': 'gpu.burn_rate', 'measure': '1h', 'value': 'ratio_1h', 'reason_sql': 'reason'},
    {'metric_id': 'gpu.burn_rate', 'measure': '6h', 'value': 'ratio_6h', 'reason_sql': 'reason'},
    {'metric_id': 'gpu.burn_rate', 'measure': '24h', 'value': 'ratio_24h', 'reason_sql': 'reason'},
]) }}

union all

{{ metric_rows('owned', [
    {'metric_id': 'gpu.orphan_rate', 'measure': 'ratio', 'value': 'case when cost > 0 then unowned_cost / cost end', 'reason': 'there is no cost'},
]) }}

union all

{{ metric_rows('spot', [
    {'metric_id': 'gpu.spot_share', 'measure': 'ratio', 'value': 'coalesce(spot_hours, 0) / nullif(known_hours, 0)',
        'reason': 'no node says how it was bought', 'where': "dimension <> 'purchase_option'"},
    {'metric_id': 'gpu.spot_share', 'measure': 'effective_price', 'value': 'case when not lacks_costs and useful_hours > 0 then spot_cost / useful_hours end',
        'reason_sql': "case when lacks_costs then 'a spot node has no cost' else 'no spot GPU-hour was of use' end",
        'basis': "case when lacks_costs then 'partial' else 'billed' end"},
]) }}

union all

{{ metric_rows('trained', [
    {'metric_id': 'gpu.cost_per_training_epoch', 'measure': 'success', 'value': 'case when epochs_of_success > 0 then success_cost / epochs_of_success end',
        'reason_sql': "coalesce(cost_reason, 'no epoch was completed')"},
    {'metric_id': 'gpu.cost_per_training_epoch', 'measure': 'all_attempts', 'value': 'case when epochs > 0 then all_cost / epochs end',
        'reason_sql': "coalesce(cost_reason, 'no epoch was completed')"},
]) }}

union all

{{ metric_rows('bridges', [
    {'metric_id': 'gpu.chargeback_accuracy', 'measure': 'ratio', 'value': 'case when billed_cost > 0 then difference / billed_cost end',
        'reason': 'nothing is billed yet'},
]) }}
