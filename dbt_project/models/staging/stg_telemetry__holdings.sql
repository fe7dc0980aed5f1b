-- One row per attempt and node; an attempt without an end lasts to the horizon of what is known. Never started: no start.
-- Daily dumps overlap and repeat an attempt: the row that knows its end counts, then the later end, then the later file.
select
    holdings.source_name,
    holdings.holding_id,
    coalesce(holdings.job_id, holdings.holding_id) as job_id,
    holdings.attempt,
    holdings.holder_kind,
    holdings.name,
    holdings.cluster,
    holdings.pool,
    holdings.node,
    nullif(trim(holdings.gpu_ids), '') as gpu_ids,
    coalesce(holdings.gpu_count, case when nullif(trim(holdings.gpu_ids), '') is null then 0 else 1 end) as gpu_count,
    holdings.gpu_share as declared_gpu_share,
    coalesce(holdings.gpu_share, 1) as gpu_share,
    nullif(trim(holdings.gpu_model), '') as gpu_model,
    regexp_replace(lower(nullif(trim(holdings.gpu_profile), '')), '^mig-', '') as gpu_profile,
    lower(holdings.gpu_sharing) as gpu_sharing,
    holdings.gpu_memory_gb,
    coalesce(holdings.cpu_count, 0) as cpu_count,
    holdings.memory_gb,
    holdings.disk_gb,
    holdings.submitted_at,
    holdings.started_at,
    case when holdings.started_at is not null then coalesce(holdings.ended_at, horizon.horizon_at) end as ended_at,
    holdings.ended_at is null and holdings.started_at is not null as is_open,
    coalesce(holdings.outcome, case when holdings.started_at is null then 'pending' end) as outcome,
    holdings.namespace,
    holdings.account,
    holdings.user_name,
    holdings.model,
    holdings.tenant,
    holdings.labels,
    coalesce(holdings.started_at, holdings.submitted_at, timestamp '1970-01-01')::date as holding_date,
    holdings.file_name,
    holdings.file_row
from {{ source('raw', 'holdings') }} as holdings
cross join {{ source('meta', 'horizon') }} as horizon
qualify row_number() over (
    partition by holdings.source_name, holdings.cluster, holdings.holding_id, holdings.node, holdings.started_at
    order by holdings.ended_at desc nulls last, holdings.file_name desc, holdings.file_row desc
) = 1
    -- queued in one file, run in a later one: it is the run
    and (holdings.started_at is not null or not bool_or(holdings.started_at is not null) over (
        partition by holdings.source_name, holdings.cluster, holdings.holding_id
    ))
