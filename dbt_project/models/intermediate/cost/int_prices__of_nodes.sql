-- The prices that may be meant by a node: one row per resource and node of the capacity list, price per node-hour (by SKU, or the node's
-- own name) or per GPU-hour (by SKU, GPU model, or any GPU), and what of the node the price names (`named_by`), with how closely.
-- A node's service tier is how it was bought: a spot node has the price of tier `spot`, a reserved one that of `reserved`, an on-demand
-- or own one that of none.
{{ config(materialized='table') }}

with nodes as (
    select distinct
        resource_id, node, lower(trim(sku)) as sku_key, lower(trim(gpu_model)) as gpu_key,
        {{ node_tier('purchase_option') }} as service_tier
    from {{ ref('stg_telemetry__capacity') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

books as (
    select *, coalesce(sku, model) as name
    from {{ ref('int_prices') }}
    where price_kind in ('node_hour', 'gpu_hour') and quantity_from = 0
        and {{ may_overlap_build_days("coalesce(valid_from, timestamp '0001-01-01')", "coalesce(valid_to, timestamp '9999-12-31')") }}
),

called as (
    select resource_id, node, service_tier, 'node_hour' as price_kind, 'node' as named_by, lower(node) as name, 4 as closeness from nodes
    union
    select resource_id, node, service_tier, 'node_hour', 'node', lower(resource_id), 4 from nodes
    union
    select resource_id, node, service_tier, 'node_hour', 'sku', sku_key, 3 from nodes
    union
    select resource_id, node, service_tier, 'gpu_hour', 'sku', sku_key, 2 from nodes
    union
    select resource_id, node, service_tier, 'gpu_hour', 'gpu_model', gpu_key, 1 from nodes
    union
    select resource_id, node, service_tier, 'gpu_hour', 'any', '', 0 from nodes
)

select
    called.resource_id,
    called.node,
    called.named_by,
    called.closeness,
    books.* exclude (provider_key, sku, model)
from called
inner join books
    on called.price_kind = books.price_kind and called.name = coalesce(books.name, '')
    and called.service_tier is not distinct from books.service_tier
