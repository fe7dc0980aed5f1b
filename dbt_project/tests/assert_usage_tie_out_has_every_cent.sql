-- A provider and billing day whose lines that name a model, as charged, are not what quality.fct_usage_tie_out has of them, exactly. What
-- accrues over several days is compared whole.
with node_resources as (
    select distinct resource_id from {{ ref('stg_telemetry__capacity') }}
),

lines as (
    select lower(trim(owned.billed_by)) as provider_key, sum(owned.reporting_billed_cost) as cost
    from {{ ref('int_charges__owned') }} as owned
    anti join node_resources on owned.resource_id = node_resources.resource_id
    left join {{ source('config', 'sources') }} as sources on owned.source_name = sources.source_name
    where owned.model is not null and not coalesce(sources.is_own, false)
    group by 1
),

tied as (
    select lower(trim(provider_name)) as provider_key, sum(billed_cost) as cost
    from {{ ref('fct_usage_tie_out') }}
    where state <> 'no_model'
    group by 1
)

select lines.provider_key, lines.cost, tied.cost as tied_cost
from lines
full join tied on lines.provider_key = tied.provider_key
where coalesce(lines.cost, 0) <> coalesce(tied.cost, 0)
