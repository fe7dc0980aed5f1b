-- All metrics of GPU-hours.
{{ config(materialized='view') }}

select metric_id, measure, grain, period_start_at, period_end_at, dimension, dimension_value, value, basis, reason
from {{ ref('int_metrics__gpu_hours') }}

union all

select metric_id, measure, grain, period_start_at, period_end_at, dimension, dimension_value, value, basis, reason
from {{ ref('int_metrics__gpu_spending') }}
