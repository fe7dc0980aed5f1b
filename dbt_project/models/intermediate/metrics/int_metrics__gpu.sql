{{ config(materialized='table') }}

{{ no_metric_rows() }}
