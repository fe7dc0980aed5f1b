-- What the cost of a node is made of: one row per day and node. `attached`: storage, network, licences that belong to it; `amortised`: what a
-- commitment covers, and what own ledgers and registers say; the rest of cost is charged for the node itself.
{% set kind -%}
case
    when lines.is_attached or coalesce(lines.service_category, 'Compute') not in ('Compute', 'AI and Machine Learning') then 'attached'
    when coalesce(sources.is_own, false) or coalesce(lines.commitment_discount_status = 'Used', false) then 'amortised'
    else 'direct'
end
{%- endset -%}

select
    lines.slot_start_at::date as usage_date,
    lines.resource_id,
    max_by(lines.billed_by, (lines.cost, lines.billed_by)) as provider,
    sum(lines.cost) as cost,
    coalesce(sum(lines.cost) filter (where {{ kind }} = 'attached'), 0) as attached_cost,
    coalesce(sum(lines.cost) filter (where {{ kind }} = 'amortised'), 0) as amortised_cost
from {{ ref('int_charges__of_nodes') }} as lines
left join {{ source('config', 'sources') }} as sources on lines.source_name = sources.source_name
where lines.resource_id is not null and {{ in_build_days('lines.slot_start_at::date') }}
group by all
