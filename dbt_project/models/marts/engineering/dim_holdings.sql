-- One row per attempt and node: what it held, when, whose it is by which rule, and the file and row that say so.
{{ config(materialized='view') }}

select
    holdings.holding_id, holdings.job_id, holdings.source_name, holdings.holder_kind, holdings.name, holdings.cluster, holdings.pool,
    holdings.node, holdings.gpu_ids, holdings.gpu_count, holdings.gpu_share, holdings.cpu_count, holdings.started_at,
    holdings.ended_at, holdings.outcome, holdings.model, owned.team, owned.owner_rule_id, holdings.file_name, holdings.file_row
from {{ ref('stg_telemetry__holdings') }} as holdings
left join {{ ref('int_holdings__owned') }} as owned
    on holdings.source_name = owned.source_name and holdings.cluster is not distinct from owned.cluster
    and holdings.holding_id = owned.holding_id and holdings.node is not distinct from owned.node
    and holdings.started_at is not distinct from owned.started_at
