-- What every asset and running cost costs on each day of the build, in its own currency: one row per row of the register and
-- day, up to the horizon; the horizon's own day counts by its share. A month is split over all its days, and a running cost
-- over all of its own, whichever days the build computes, so a day's cost never depends on that.
-- Depreciation ends with the day before a disposal; on the day of it, book value less proceeds is charged.
{{ config(day_column='charge_date') }}

with build_months as (
    select distinct date_trunc('month', build_days.usage_date)::date as usage_month
    from {{ source('meta', 'build_days') }} as build_days
),

asset_slots as (
    select
        months.*,
        {{ slots('months.used_from_at', 'months.used_until_at', 'day') }} as day_start_at
    from {{ ref('int_asset_months') }} as months
    inner join build_months on months.usage_month = build_months.usage_month
),

asset_weights as (
    select *, {{ overlap_microseconds('used_from_at', 'used_until_at', 'day_start_at', 'day') }} as microseconds
    from asset_slots
),

asset_split as (
    {{ split_exact('asset_weights', by=['source_name', 'asset_id', 'used_from_at'], amount='depreciation_cost',
        weight='microseconds', tie_break=['day_start_at'],
        keep=['source_name', 'asset_id', 'usage_month', 'day_start_at', 'used_from_at', 'used_until_at', 'microseconds'],
        into='day_cost') }}
),

-- two years of a life may meet within a day
depreciated as (
    select
        source_name, asset_id, usage_month, day_start_at,
        min(greatest(used_from_at, day_start_at)) as used_from_at,
        max(least(used_until_at, day_start_at + interval 1 day)) as used_until_at,
        sum(day_cost)::decimal(38, 12) as day_cost
    from asset_split
    group by source_name, asset_id, usage_month, day_start_at
),

disposed as (
    select *, disposed_at::date as disposal_date
    from {{ ref('int_asset_lives') }}
    where disposed_at is not null and {{ in_build_days('disposed_at::date') }}
),

lost_before as (
    select disposed.source_name, disposed.asset_id, sum(parts.cost) as cost
    from disposed
    inner join (
        select source_name, asset_id, usage_month as part_date, depreciation_cost as cost, true as is_month
        from {{ ref('int_asset_months') }}
        union all
        select source_name, asset_id, day_start_at::date as part_date, day_cost as cost, false as is_month from depreciated
    ) as parts
        on disposed.source_name = parts.source_name and disposed.asset_id = parts.asset_id
        and case
            when parts.is_month then parts.part_date < date_trunc('month', disposed.disposal_date)
            else parts.part_date >= date_trunc('month', disposed.disposal_date) and parts.part_date < disposed.disposal_date
        end
    group by disposed.source_name, disposed.asset_id
),

cost_slots as (
    select *, {{ slots('started_at', 'ended_at', 'day') }} as day_start_at
    from {{ ref('int_asset_costs') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

cost_weights as (
    select *, {{ overlap_microseconds('started_at', 'ended_at', 'day_start_at', 'day') }} as microseconds
    from cost_slots
),

cost_split as (
    {{ split_exact('cost_weights', by=['source_name', 'file_name', 'file_row'], amount='total_cost', weight='microseconds',
        tie_break=['day_start_at'],
        keep=['source_name', 'file_name', 'file_row', 'day_start_at', 'started_at', 'ended_at'], into='day_cost') }}
),

days as (
    select lives.source_name, lives.file_name, lives.file_row, 'depreciation' as cost_step,
        depreciated.used_from_at, depreciated.used_until_at, depreciated.day_cost
    from depreciated
    inner join {{ ref('int_asset_lives') }} as lives
        on depreciated.source_name = lives.source_name and depreciated.asset_id = lives.asset_id
    where depreciated.day_start_at::date < coalesce(lives.disposed_at::date, date '9999-12-31')

    union all

    select disposed.source_name, disposed.file_name, disposed.file_row, 'disposal' as cost_step,
        disposed.disposal_date::timestamp as used_from_at,
        (disposed.disposal_date + interval 1 day)::timestamp as used_until_at,
        (disposed.purchase_cost - coalesce(lost_before.cost, 0) - disposed.disposal_proceeds)::decimal(38, 12) as day_cost
    from disposed
    left join lost_before on disposed.source_name = lost_before.source_name and disposed.asset_id = lost_before.asset_id

    union all

    select source_name, file_name, file_row, 'running' as cost_step,
        greatest(started_at, day_start_at) as used_from_at,
        least(ended_at, day_start_at + interval 1 day) as used_until_at,
        day_cost
    from cost_split
)

select
    days.used_from_at::date as charge_date,
    days.source_name,
    days.file_name,
    days.file_row,
    days.cost_step,
    days.used_from_at,
    case when days.cost_step = 'disposal' then days.used_until_at else least(days.used_until_at, horizon.horizon_at) end as used_until_at,
    case
        when days.cost_step = 'disposal' or days.used_until_at <= horizon.horizon_at then days.day_cost
        else {{ from_units(whole_division(
            to_units('days.day_cost') ~ ' * (epoch_us(horizon.horizon_at) - epoch_us(days.used_from_at))',
            '(epoch_us(days.used_until_at) - epoch_us(days.used_from_at))')) }}
    end as cost
from days
cross join {{ source('meta', 'horizon') }} as horizon
where days.used_from_at < horizon.horizon_at and {{ in_build_days('days.used_from_at::date') }}
