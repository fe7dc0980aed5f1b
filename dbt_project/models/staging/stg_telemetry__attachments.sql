-- One row per resource and interval in which it belonged to a node (`attached_to`: ResourceId of the node, or its name); an interval
-- without an end lasts to the horizon of what is known. Daily dumps repeat intervals: what reads them counts a node once a moment.
select
    attachments.source_name,
    trim(attachments.resource_id) as resource_id,
    trim(attachments.attached_to) as attached_to,
    attachments.started_at,
    coalesce(attachments.ended_at, horizon.horizon_at) as ended_at
from {{ source('raw', 'attachments') }} as attachments
cross join {{ source('meta', 'horizon') }} as horizon
where trim(attachments.resource_id) <> '' and trim(attachments.attached_to) <> ''
