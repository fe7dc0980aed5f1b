-- Provisioned throughput of a model hour by hour: one row per hour, model and bill, with its cost, evenly over the time that its lines are
-- for, exact; `is_used` where a request of tier `provisioned` asked something of the model in that hour. The rest is unused.
with lines as (
    select timed.*, row_number() over (order by timed.source_name, timed.file_name, timed.file_row) as line_number
    from {{ ref('int_charges__timed') }} as timed
    where timed.charge_category = 'Usage' and timed.model is not null and timed.service_tier = 'provisioned' and not timed.is_node
        and {{ in_build_days('timed.slot_start_at::date') }}
),

-- a line without a duration is of the hour in which it stands
of_day as (
    select
        *,
        greatest(from_at, slot_start_at) as starts_at,
        greatest(least(until_at, slot_start_at + interval 1 day), greatest(from_at, slot_start_at) + interval 1 microsecond) as ends_at
    from lines
),

hours as (
    select *, {{ slots('starts_at', 'ends_at', 'hour') }} as hour_start_at
    from of_day
),

weighed as (
    select *, {{ overlap_microseconds('starts_at', 'ends_at', 'hour_start_at', 'hour') }} as weight
    from hours
),

{% set kept = ['line_number', 'slot_start_at', 'hour_start_at', 'source_name', 'billed_by', 'billing_period', 'model', 'team', 'cost_centre',
    'currency_code', 'commitment_discount_status', 'capacity_reservation_status'] -%}

split as (
    {{ split_exact('weighed', by=['line_number', 'slot_start_at'], amount='cost', weight='weight', tie_break=['hour_start_at'], keep=kept) }}
),

asked as (
    select distinct model, lower(provider) as provider_key, date_trunc('hour', requested_at) as hour_start_at
    from {{ ref('stg_telemetry__requests') }}
    where {{ service_tier('tier') }} = 'provisioned' and model is not null and {{ in_build_days('usage_date') }}
)

select
    split.slot_start_at::date as usage_date,
    split.hour_start_at,
    split.source_name,
    split.billed_by,
    split.billing_period,
    split.model,
    split.team,
    split.cost_centre,
    split.currency_code,
    exists (
        select 1 from asked
        where asked.model = split.model and asked.hour_start_at = split.hour_start_at
            and (asked.provider_key is null or asked.provider_key = lower(split.billed_by))
    ) and coalesce(split.commitment_discount_status <> 'Unused', true) and coalesce(split.capacity_reservation_status <> 'Unused', true) as is_used,
    sum(split.allocated_cost) as cost
from split
group by all
