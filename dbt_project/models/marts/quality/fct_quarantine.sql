-- One row per record that could not be used: where it stands, which column, what it said, and why that will not do.
{{ config(materialized='view') }}

select source_name, delivery_id, file_name, file_row, column_name, value, reason, quarantined_at
from {{ source('raw', 'quarantine') }}
