-- What existed, moment by moment: one row per hour, unit (GPU where GPUs are listed, else the node's GPUs of a model, else the node) and
-- stretch in which nothing about it changed. Rows of the capacity list may overlap: a unit exists while one of its own rows says so, the
-- worst state counts, and a node's row without GPUs is a word about all of its units: their pool, SKU and ResourceId, too. A node listed with its GPUs one by one and once as
-- a whole counts its GPUs once.
with capacity as (
    select
        *,
        case when state = 'up' then 0 when state in {{ drain_states() }} then 1 else 2 end as badness,
        bool_or(gpu_id is not null) over (partition by cluster, node) as lists_gpus
    from {{ ref('stg_telemetry__capacity') }}
    where {{ may_overlap_build_days('started_at', 'ended_at') }}
),

listed as (
    select
        source_name, cluster, pool, node, gpu_id,
        -- two models on a node are two units
        case when gpu_id is null then coalesce(gpu_model, '') end as unit_model,
        gpu_model, gpu_memory_gb, cpu_count, memory_gb, disk_gb, sku, region, purchase_option, badness,
        resource_id, says_resource, started_at, ended_at,
        case when gpu_id is null and lists_gpus then 0 else gpu_count end as gpu_count,
        gpu_id is not null or gpu_model is not null or gpu_count > 0 or cpu_count > 0 as says_what_exists
    from capacity
),

-- where some row says what the node has, rows that only name its state make no unit
units as (
    select distinct cluster, node, gpu_id, unit_model
    from (select *, bool_or(says_what_exists) over (partition by cluster, node) as is_described from listed)
    where says_what_exists or not is_described
),

words as (
    select units.cluster, units.node, units.gpu_id, units.unit_model, listed.* exclude (cluster, node, gpu_id, unit_model),
        (units.gpu_id is not distinct from listed.gpu_id and units.unit_model is not distinct from listed.unit_model
            and listed.ended_at > listed.started_at) as is_own
    from units
    inner join listed
        on units.cluster = listed.cluster and units.node = listed.node
        and ((units.gpu_id is not distinct from listed.gpu_id and units.unit_model is not distinct from listed.unit_model)
            or (listed.gpu_id is null and (listed.badness > 0 or units.gpu_id is not null)))
    union all
    select units.cluster, units.node, units.gpu_id, units.unit_model, null, null, null, null, 0, null, null, null, null, null, 2,
        null, false, faults.started_at, faults.ended_at, 0, false, false
    from units
    inner join {{ ref('int_gpu_xid_spans') }} as faults
        on units.gpu_id = faults.gpu_id and (faults.node is null or faults.node = units.node)
),

cuts as (
    select distinct cluster, node, gpu_id, unit_model, moment
    from (
        select cluster, node, gpu_id, unit_model, {{ unfolded({'moment': ['started_at', 'ended_at']}) }} from words
    )
),

stretches as (
    select *, lead(moment) over (partition by cluster, node, gpu_id, unit_model order by moment) as until_at
    from cuts
),

-- what the rows in force at the moment say together
merged as (
    select
        stretches.cluster, stretches.node, stretches.gpu_id, stretches.moment as started_at, stretches.until_at as ended_at,
        min(words.source_name) as source_name,
        coalesce(max(nullif(words.pool, '')), '') as pool,
        coalesce(max(words.gpu_model) filter (where words.is_own), max(words.gpu_model)) as gpu_model,
        coalesce(max(words.gpu_memory_gb) filter (where words.is_own), max(words.gpu_memory_gb)) as gpu_memory_gb,
        coalesce(max(words.sku) filter (where words.is_own), max(words.sku)) as sku,
        coalesce(max(words.resource_id) filter (where words.says_resource), stretches.node) as resource_id,
        max(words.gpu_count) filter (where words.is_own) as gpu_count,
        max(words.cpu_count) filter (where words.is_own) as cpu_count,
        max(words.memory_gb) filter (where words.is_own) as memory_gb,
        max(words.disk_gb) filter (where words.is_own) as disk_gb,
        case max(words.badness) when 0 then 'up' when 1 then 'drain' else 'down' end as state
    from stretches
    inner join words
        on stretches.cluster = words.cluster and stretches.node = words.node
        and stretches.gpu_id is not distinct from words.gpu_id and stretches.unit_model is not distinct from words.unit_model
        and words.started_at <= stretches.moment and stretches.moment < words.ended_at
    where stretches.until_at is not null
    group by stretches.cluster, stretches.node, stretches.gpu_id, stretches.unit_model, stretches.moment, stretches.until_at
    having bool_or(words.is_own)
),

hours as (
    select *, {{ slots('started_at', 'ended_at', 'hour') }} as hour_start_at
    from merged
)

select
    hour_start_at::date as usage_date,
    hour_start_at,
    greatest(started_at, hour_start_at) as span_start_at,
    least(ended_at, hour_start_at + interval 1 hour) as span_end_at,
    source_name,
    cluster,
    -- a node that changes its pool within an hour is in the later one
    first_value(pool) over (partition by hour_start_at, cluster, node order by pool = '', started_at desc, pool) as pool,
    node,
    gpu_id,
    gpu_model,
    gpu_memory_gb,
    sku,
    resource_id,
    state,
    gpu_count,
    cpu_count,
    coalesce(memory_gb, 0) as memory_gb,
    coalesce(disk_gb, 0) as disk_gb
from hours
where {{ in_build_days('hour_start_at::date') }}
