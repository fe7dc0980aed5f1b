-- Lines that go to a node: its own, hour by hour, and those attached to it (int_charges__attached), each in the part of the hour that it
-- is for (int_hour_parts). What is left of an attached line while it is attached to no node stays by day, with `resource_id` NULL.
-- An attached line goes with its node: where nobody is known to have held it, to the owner of what the node's own bill says.
{{ config(materialized='table') }}

with attached as (
    select * from {{ ref('int_charges__attached') }}
),

{% set key = ['charge_date', 'source_name', 'file_name', 'file_row', 'resource_id'] -%}
{%- set kept = timed_fields() | reject('equalto', 'resource_id') | list -%}

belonging as (
    select timed.*, row_number() over () as line_number
    from {{ ref('int_charges__timed') }} as timed
    semi join attached
        on timed.slot_start_at::date = attached.usage_date
        {%- for column in key %} and timed.{{ column }} is not distinct from attached.{{ column }}{% endfor %}
    where not timed.is_node
),

pieces as (
    select
        belonging.* exclude (slot_start_at, from_at, until_at),
        attached.node_resource_id,
        coalesce(attached.hour_start_at, belonging.slot_start_at) as slot_start_at,
        coalesce(attached.from_at, belonging.from_at) as from_at,
        coalesce(attached.until_at, belonging.until_at) as until_at,
        attached.weight
    from belonging
    inner join attached
        on belonging.slot_start_at::date = attached.usage_date
        {%- for column in key %} and belonging.{{ column }} is not distinct from attached.{{ column }}{% endfor %}
),

shared as (
    {{ split_exact('pieces', by=['line_number'], amount='cost', weight='weight',
        tie_break=['slot_start_at', 'from_at', 'node_resource_id nulls last', 'weight'],
        keep=kept + ['node_resource_id', 'slot_start_at', 'from_at', 'until_at', 'team', 'cost_centre'], into='cost') }}
),

own as (
    select * from {{ ref('int_charges__timed') }} where is_node
),

node_owners as (
    select slot_start_at, resource_id, team, cost_centre
    from own
    where (slot_start_at, resource_id) in (select attached.hour_start_at, attached.node_resource_id from attached)
    qualify row_number() over (partition by slot_start_at, resource_id order by cost desc, team, cost_centre) = 1
),

placed as (
    select {{ kept | join(', ') }}, resource_id, false as is_attached, slot_start_at, from_at, until_at, team, cost_centre, cost
    from own
    union all
    select
        {% for column in kept %}shared.{{ column }}, {% endfor %}
        shared.node_resource_id, shared.node_resource_id is not null, shared.slot_start_at, shared.from_at, shared.until_at,
        case when owners.resource_id is null then shared.team else owners.team end,
        case when owners.resource_id is null then shared.cost_centre else owners.cost_centre end,
        shared.cost
    from shared
    left join node_owners as owners on shared.slot_start_at = owners.slot_start_at and shared.node_resource_id = owners.resource_id
),

cut as (
    select
        placed.*, parts.part_start_at, parts.part_end_at,
        least(
            epoch_us(least(placed.until_at, parts.part_end_at)) - epoch_us(greatest(placed.from_at, parts.part_start_at)),
            parts.existed_microseconds
        ) as microseconds
    from (
        select *, row_number() over () as piece_number
        from placed
        where (slot_start_at, resource_id) in (select parts.hour_start_at, parts.resource_id from {{ ref('int_hour_parts') }} as parts)
    ) as placed
    inner join {{ ref('int_hour_parts') }} as parts
        on placed.slot_start_at = parts.hour_start_at and placed.resource_id = parts.resource_id
        -- what takes no time lies in the part in which it begins
        and placed.from_at < parts.part_end_at
        and (parts.part_start_at < placed.until_at or (placed.from_at = placed.until_at and parts.part_start_at <= placed.from_at))
),

{% set placed_fields = kept + ['resource_id', 'is_attached', 'slot_start_at', 'team', 'cost_centre'] -%}

split as (
    {{ split_exact('cut', by=['piece_number'], amount='cost', weight='microseconds', tie_break=['part_start_at'],
        keep=placed_fields + ['part_start_at', 'part_end_at'], into='cost') }}
)

select {{ placed_fields | join(', ') }}, part_start_at, part_end_at, cost from split

union all

select
    {{ placed_fields | join(', ') }},
    case when resource_id is not null then slot_start_at end as part_start_at,
    case when resource_id is not null then slot_start_at + interval 1 hour end as part_end_at,
    cost
from placed
anti join {{ ref('int_hour_parts') }} as parts
    on placed.slot_start_at = parts.hour_start_at and placed.resource_id = parts.resource_id
