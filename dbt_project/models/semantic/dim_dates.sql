-- One row per day from the first to the last month with costs: what metrics are laid out on.
{{ config(materialized='table', schema='product', contract={'enforced': true}) }}

select ({{ slots('min(day_from)', 'max(day_until)', 'day') }})::date as date_day
from (
    select
        date_trunc('month', usage_date) as day_from,
        date_trunc('month', usage_date) + interval 1 month as day_until
    from {{ ref('int_chargeback_days') }}
)
