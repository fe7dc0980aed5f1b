{{ config(materialized='table') }}
select '' as node, '' as gpu_id, timestamp '1970-01-01' as started_at, timestamp '1970-01-01' as ended_at where false
