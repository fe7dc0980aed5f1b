-- When billing lines belong to a node: one row per line, day, hour and node it is attached to, and one (`node_resource_id` NULL) for the
-- time of the day in which it is attached to none. `weight` is time, shared alike among the nodes it is attached to at a moment; a
-- line's weights of a day add up to its time in it. The table of attachments decides; on a day on which it names no node of the
-- capacity list, the first tag of policy `attached_by_tag` whose value names one. A node counts in the hours in which it exists.
{{ config(materialized='table') }}

-- divides by all numbers of nodes up to 16
{%- set one = 720720 %}

with node_hours as (
    select distinct hour_start_at, cluster, node, resource_id
    from (
        select cluster, node, resource_id, {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
        from {{ ref('stg_telemetry__capacity') }}
        where {{ may_overlap_build_days('started_at', 'ended_at') }}
    )
    where {{ in_build_days('hour_start_at::date') }}
),

-- a node's name means nothing where two clusters have it
names as (
    select hour_start_at, resource_id as name, resource_id from node_hours
    union
    select hour_start_at, name, resource_id
    from (
        select hour_start_at, node as name, resource_id from node_hours
        qualify min(cluster) over (partition by hour_start_at, node) = max(cluster) over (partition by hour_start_at, node)
    )
),

attachments as (
    select * from {{ ref('stg_telemetry__attachments') }} where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

bounds as (
    select resource_id, started_at as from_at from attachments
    union
    select resource_id, ended_at from attachments
),

-- times between which nothing is attached or detached
spans as (
    select *, count(*) over (partition by resource_id, from_at) as node_count
    from (
        select distinct attachments.resource_id, attachments.attached_to, bounds.from_at, bounds.until_at
        from (
            select *, lead(from_at) over (partition by resource_id order by from_at) as until_at from bounds
        ) as bounds
        inner join attachments
            on bounds.resource_id = attachments.resource_id and attachments.started_at <= bounds.from_at
            and bounds.until_at <= attachments.ended_at
    )
),

named_by_tag as (
    select tag_keys.usage_date, tag_values.tags, tag_values.tag_value as name, tag_keys.entry.position as choice
    from (
        select build_days.usage_date, {{ words('policies.value') }} as entry
        from {{ source('meta', 'build_days') }} as build_days
        inner join {{ source('config', 'policies') }} as policies
            on policies.policy = 'attached_by_tag' and policies.cluster is null and policies.pool is null
            and {{ in_force('policies', 'build_days.usage_date') }}
    ) as tag_keys
    inner join {{ ref('int_tag_values') }} as tag_values on lower(tag_keys.entry.word) = tag_values.tag_key
),

{% set line = ['charge_date', 'source_name', 'file_name', 'file_row', 'resource_id'] -%}

-- a record that bills and credits at once is several lines of one number, attached alike
lines as (
    select {{ line | join(', ') }}, min(charge_period_start) as accrues_from_at, max(accrues_until_at) as accrues_until_at,
        min(tags) as tags, row_number() over () as line_number
    from (
        select {{ line | join(', ') }}, charge_period_start, accrues_until_at, tags
        from {{ ref('int_charge_lines') }}
        where {{ may_overlap_build_days('charge_period_start', 'accrues_until_at') }}
            and resource_id in (select spans.resource_id from spans)
        union all
        -- the own register names its nodes itself
        select {{ line | join(', ') }}, charge_period_start, accrues_until_at, tags
        from {{ ref('stg_billing__lines') }}
        where {{ may_overlap_build_days('charge_period_start', 'accrues_until_at') }}
            and tags in (select named_by_tag.tags from named_by_tag)
    ) as candidates
    where not exists (select 1 from {{ ref('stg_telemetry__capacity') }} as nodes where nodes.resource_id = candidates.resource_id)
    group by {{ line | join(', ') }}
),

named as (
    select
        lines.line_number, spans.attached_to as name, spans.node_count, 0 as choice,
        greatest(lines.accrues_from_at, spans.from_at) as from_at, least(lines.accrues_until_at, spans.until_at) as until_at
    from lines
    inner join spans
        on lines.resource_id = spans.resource_id and lines.accrues_from_at < spans.until_at and spans.from_at < lines.accrues_until_at
    union all
    select
        lines.line_number, named_by_tag.name, 1, named_by_tag.choice,
        greatest(lines.accrues_from_at, named_by_tag.usage_date::timestamp),
        least(lines.accrues_until_at, named_by_tag.usage_date + interval 1 day)
    from lines
    inner join named_by_tag
        on lines.tags = named_by_tag.tags and lines.accrues_from_at < named_by_tag.usage_date + interval 1 day
        and named_by_tag.usage_date < lines.accrues_until_at
),

attached as (
    select
        hours.line_number, hours.hour_start_at::date as usage_date, hours.hour_start_at, names.resource_id as node_resource_id,
        greatest(hours.from_at, hours.hour_start_at) as from_at,
        least(hours.until_at, hours.hour_start_at + interval 1 hour) as until_at,
        hours.node_count * names.meant_count as node_count
    from (select *, {{ slots('from_at', 'until_at', 'hour') }} as hour_start_at from named) as hours
    inner join (select *, count(*) over (partition by hour_start_at, name) as meant_count from names) as names
        on hours.hour_start_at = names.hour_start_at and hours.name = names.name
    qualify hours.choice = min(hours.choice) over (partition by hours.line_number, hours.hour_start_at::date)
),

weighed as (
    select
        * exclude (node_count),
        {{ whole_division('(epoch_us(until_at) - epoch_us(from_at)) * ' ~ one, 'node_count') }} as weight
    from attached
)

select
    weighed.usage_date, {% for column in line %}lines.{{ column }}, {% endfor %}
    weighed.node_resource_id, weighed.hour_start_at, weighed.from_at, weighed.until_at, weighed.weight::bigint as weight
from weighed
inner join lines on weighed.line_number = lines.line_number

union all

select
    weighed.usage_date, {% for column in line %}lines.{{ column }}, {% endfor %}
    null, null, null, null,
    ({{ overlap_microseconds('min(lines.accrues_from_at)', 'max(lines.accrues_until_at)', 'weighed.usage_date', 'day') }}
        * {{ one }} - sum(weighed.weight))::bigint as rest
from weighed
inner join lines on weighed.line_number = lines.line_number
group by weighed.usage_date, {% for column in line %}lines.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
having rest > 0
