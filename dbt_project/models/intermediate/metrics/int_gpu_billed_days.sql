-- GPU time that bills charge for: one row per day and line of a node with GPUs, the hours it charges times the node's GPUs. A line that counts
-- months stands for the whole of its charge period. Google charges a machine's GPUs, cores and memory apart: the line of the GPUs counts GPU-hours.
{% set by_part = "lower(charges.billed_by) like 'google%'" -%}
{% set unit = "lower(coalesce(charges.consumed_unit, charges.pricing_unit))" -%}

with nodes as (
    select resource_id, max(gpu_model) as gpu_model, min(cluster) as cluster, min(pool) as pool, max(region) as region, max(gpus) as gpu_count
    from (
        select
            resource_id, max(gpu_model) as gpu_model, min(cluster) as cluster, min(pool) as pool, max(region) as region,
            case when count(distinct gpu_id) > 0 then count(distinct gpu_id) else sum(gpu_count) end as gpus
        from {{ ref('stg_telemetry__capacity') }}
        where {{ may_overlap_build_days('started_at', 'ended_at') }}
        group by resource_id, case when gpu_id is null then started_at end
    )
    group by resource_id
    having gpu_count > 0
),

lines as (
    select
        charges.billed_by as provider, charges.source_name, charges.team, charges.cost_centre, charges.resource_id,
        charges.charge_period_start as from_at, charges.charge_period_end as until_at,
        case
            when {{ unit }} in ('hour', 'hours', '1 hour', 'hrs', 'hr', 'h') then coalesce(charges.consumed_quantity, charges.pricing_quantity)::double
            when {{ unit }} in ('second', 'seconds', 's') then coalesce(charges.consumed_quantity, charges.pricing_quantity)::double / 3600
            when {{ unit }} in ('minute', 'minutes') then coalesce(charges.consumed_quantity, charges.pricing_quantity)::double / 60
            when {{ unit }} in ('day', 'days') then coalesce(charges.consumed_quantity, charges.pricing_quantity)::double * 24
            when {{ unit }} in ('month', 'months') then
                {{ microseconds_between('charges.charge_period_start', 'charges.charge_period_end') }} / 3600000000.0
                * sign(coalesce(charges.consumed_quantity, charges.pricing_quantity, 1))::double
        end as hours,
        {{ by_part }} as is_by_part
    from {{ ref('fct_charges') }} as charges
    where charges.charge_category = 'Usage' and charges.charge_period_end > charges.charge_period_start
        and coalesce(charges.service_category, 'Compute') in ('Compute', 'AI and Machine Learning')
        and coalesce(charges.commitment_discount_status, '') <> 'Unused' and coalesce(charges.capacity_reservation_status, '') <> 'Unused'
        and (not {{ by_part }} or lower(charges.charge_description) like '%gpu%')
        and charges.resource_id in (select nodes.resource_id from nodes)
        and {{ may_overlap_build_days('charges.charge_period_start', 'charges.charge_period_end') }}
),

days as (
    select *, {{ slots('from_at', 'until_at', 'day') }} as day_start_at
    from lines
    where hours is not null
)

select
    days.day_start_at::date as usage_date,
    days.provider,
    days.source_name,
    days.team,
    days.cost_centre,
    days.resource_id,
    nodes.cluster,
    nodes.pool,
    nodes.region,
    nodes.gpu_model,
    {{ sum_hours(
        'days.hours * case when days.is_by_part then 1 else nodes.gpu_count end * ' ~ overlap_microseconds('days.from_at', 'days.until_at', 'days.day_start_at', 'day')
        ~ '::double / ' ~ microseconds_between('days.from_at', 'days.until_at')
    ) }} as gpu_hours
from days
inner join nodes on days.resource_id = nodes.resource_id
where {{ in_build_days('days.day_start_at::date') }}
group by all
