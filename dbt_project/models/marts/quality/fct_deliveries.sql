-- One row per delivery that ever arrived: what it held, whether it is current, and why not if it could not be loaded.
{{ config(materialized='view') }}

select
    source_name, table_name, partition_key, delivery_id, version, array_to_string(file_names, ', ') as file_names, bytes,
    delivered_at, loaded_at, is_current, rows_delivered, rows_loaded, rows_quarantined, status, error, notes
from {{ source('meta', 'deliveries') }}
