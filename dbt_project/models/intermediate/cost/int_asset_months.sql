-- The depreciation schedule of every asset over its whole life, as if nothing were disposed of: one row per asset, calendar
-- month, and year of life under declining balance. Straight line: purchase less residual by time. Declining balance: each
-- year of life's loss (macro declining_units) by time. A life's months add up to purchase less residual, to the last digit.
{{ config(materialized='table') }}

with recursive lives as (
    select
        *,
        {{ to_units('purchase_cost') }} as purchase_units,
        {{ to_units('residual_value') }} as residual_units
    from {{ ref('int_asset_lives') }}
),

years as (
    select
        source_name, asset_id, declining_rate, residual_units, life_until_at, in_service_at,
        1 as year_number,
        in_service_at as year_from_at,
        least({{ add_months('in_service_at', 12) }}, life_until_at) as year_until_at,
        purchase_units as opening_units,
        {{ declining_units('purchase_units', 'residual_units', 'declining_rate', 'in_service_at',
            'least(' ~ add_months('in_service_at', 12) ~ ', life_until_at)', 'life_until_at') }} as lost_units
    from lives
    where depreciation_method = 'declining_balance'

    union all

    select
        source_name, asset_id, declining_rate, residual_units, life_until_at, in_service_at,
        year_number + 1 as year_number,
        year_until_at as year_from_at,
        least({{ add_months('in_service_at', '12 * (year_number + 1)') }}, life_until_at) as year_until_at,
        opening_units - lost_units as opening_units,
        {{ declining_units('(opening_units - lost_units)', 'residual_units', 'declining_rate', 'year_until_at',
            'least(' ~ add_months('in_service_at', '12 * (year_number + 1)') ~ ', life_until_at)', 'life_until_at') }} as lost_units
    from years
    where year_until_at < life_until_at
),

portions as (
    select source_name, asset_id, year_from_at as portion_from_at, year_until_at as portion_until_at,
        {{ from_units('lost_units') }} as portion_cost
    from years

    union all

    select source_name, asset_id, in_service_at as portion_from_at, life_until_at as portion_until_at,
        (purchase_cost - residual_value)::decimal(38, 12) as portion_cost
    from lives
    where depreciation_method = 'straight_line'
),

months as (
    select *, {{ slots('portion_from_at', 'portion_until_at', 'month') }} as month_start_at
    from portions
),

weighed as (
    select
        *,
        greatest(portion_from_at, month_start_at) as used_from_at,
        least(portion_until_at, month_start_at + interval 1 month) as used_until_at,
        {{ overlap_microseconds('portion_from_at', 'portion_until_at', 'month_start_at', 'month') }} as microseconds
    from months
),

split as (
    {{ split_exact('weighed', by=['source_name', 'asset_id', 'portion_from_at'], amount='portion_cost', weight='microseconds',
        tie_break=['month_start_at'],
        keep=['source_name', 'asset_id', 'month_start_at', 'used_from_at', 'used_until_at'], into='depreciation_cost') }}
)

select
    split.source_name,
    split.asset_id,
    split.month_start_at::date as usage_month,
    split.used_from_at,
    split.used_until_at,
    split.depreciation_cost,
    (lives.purchase_cost - sum(split.depreciation_cost) over (
        partition by split.source_name, split.asset_id order by split.used_from_at
    ))::decimal(38, 12) as closing_book_value,
    lives.currency_code
from split
inner join lives on split.source_name = lives.source_name and split.asset_id = lives.asset_id
