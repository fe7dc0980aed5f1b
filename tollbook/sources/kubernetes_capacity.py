"""The rows of ``capacity`` from what was seen of nodes over time, whether the API told of them or kube-state-metrics.

- GPUs are physical ones, however many replicas, MIG instances or HAMi shares the node offers: ``nvidia.com/gpu.count``; the devices of HAMi's
  annotation; with the MIG strategy ``single``, whose count is of instances, these divided by how many of the profile a GPU has; else
  what the node offers, divided by the replicas. Other accelerators are counted as offered.
- A state holds from when it was seen until the next that is seen; where the node says when it changed in between (the Ready condition's
  lastTransitionTime, the time of the unschedulable taint), from then. The first one holds since the node was created.
- Ready False or Unknown is ``down``, unschedulable or being deleted is ``drain``.
- ``resource_id`` is the last part of providerID; at Azure the resource's whole path, a scale set's for its instances.
"""

from __future__ import annotations

import duckdb

from tollbook.sources import kubernetes_gpus
from tollbook.sources.kubernetes_names import POOLS, PRODUCTS, REGIONS, SKUS, Keys, accelerators, by_node
from tollbook.sources.typing import text
from tollbook.workspace import Source

OPTIONS = ("replicas", "accelerators", "open_ends")

# the instances of a profile that a GPU has room for: 7 slices of compute, 8 of memory
_COUNTED = r"""
create or replace temp table k8s_node_counts as
select
    seen_no,
    sum(billionths) filter (resource = 'cpu')::hugeint as cpu,
    sum(billionths) filter (resource = 'memory')::hugeint as memory,
    sum(billionths) filter (resource in ('ephemeral-storage', 'ephemeral_storage'))::hugeint as disk,
    coalesce(sum(billionths) filter (kind in ('gpu', 'vgpu') and is_nvidia) // 1000000000, 0)::bigint as offered,
    ceil(coalesce(sum(billionths // 1000000000 * try_cast(regexp_extract(profile, '([0-9]+)g[.]', 1) as integer))
        filter (kind = 'mig'), 0) / 7)::bigint as sliced,
    (coalesce(sum(billionths // 1000000000 * coalesce(own_share, 1000000)) filter (kind = 'gpu' and not is_nvidia), 0)
        // 1000000)::bigint as others,
    bool_or(kind in ('gpu', 'vgpu', 'mig')) as has_gpus
from k8s_pod_requests
left join k8s_resources using (resource)
group by seen_no
"""

_FACTS = r"""
create or replace temp table k8s_node_facts as
with named as (
    select
        seen_no, turn, seen_at, node_key, node, state, created_at, changed_at, file_row, provider_id,
        coalesce({replicas}, try_cast({hinted_replicas} as bigint), 1) as replicas,
        {product} as product,
        try_cast({stated_gpus} as bigint) as stated_gpus,
        try_cast({gpu_mib} as hugeint) as gpu_mib,
        nullif(regexp_extract(product, '-MIG-([0-9]+g[.][0-9]+gb)', 1), '') as single_profile,
        try_cast(regexp_extract(single_profile, '^([0-9]+)', 1) as bigint) as compute,
        try_cast(regexp_extract(single_profile, '[.]([0-9]+)', 1) as bigint) as instance_gb,
        try_cast(nullif(regexp_extract(product, '([0-9]+)GB', 1), '') as bigint) as product_gb,
        greatest(round(instance_gb * 8 / product_gb), 1)::bigint as memory_slices,
        len(regexp_extract_all({hami}, '(^|:)[^,:\[\]]+,[0-9]+,[0-9]+,'))
            + len(regexp_extract_all({hami}, '"id" *:')) as hami_gpus,
        {sku} as sku,
        {region} as region,
        {price} as purchase_option,
        {pool} as pool
    from k8s_nodes_seen
)

select
    seen_no, turn, seen_at, node_key, created_at, changed_at, file_row,
    {{
        'pool': pool,
        'node': node,
        'gpu_model': regexp_replace(product, '(-MIG-[^-]*)?(-SHARED)?$', ''),
        'gpu_count': others + case
            when hami_gpus > 0 then hami_gpus
            when single_profile is not null then ceil(
                coalesce(stated_gpus, offered // greatest(replicas, 1))
                / greatest(least(7 // compute, coalesce(8 // memory_slices, 7)), 1)
            )::bigint
            when stated_gpus > 0 then stated_gpus
            else ceil(offered / greatest(replicas, 1))::bigint + sliced
        end,
        'gpu_memory_gb': case
            when single_profile is not null then product_gb::decimal(18, 6)
            when gpu_mib > 0 then k8s_decimal((gpu_mib * 1000000 + 512) // 1024)
        end,
        'cpu_count': k8s_count(cpu),
        'memory_gb': k8s_gb(memory),
        'disk_gb': k8s_gb(disk),
        'sku': sku,
        'region': region,
        'purchase_option': purchase_option,
        'resource_id': case
            when provider_id like 'azure://%' then regexp_replace(
                regexp_replace(provider_id, '^azure://', ''), '(?i)(/virtualMachineScaleSets/[^/]+)/virtualMachines/[^/]+$', '\1'
            )
            else nullif(regexp_extract(provider_id, '([^/]+)/*$', 1), '')
        end
    }} as facts,
    state
from named left join k8s_node_counts using (seen_no)
"""

_ROWS = """
create or replace temp table k8s_rows as
with compared as (
    select
        *,
        lag(facts) over seen is not distinct from facts and lag(state) over seen is not distinct from state
            and lag(seen_no) over seen is not null as is_same,
        lag(seen_at) over seen as seen_before
    from k8s_node_facts
    window seen as (partition by node_key order by turn, seen_no)
),

changes as (
    select
        *,
        case
            when seen_before is null and state <> 'up' then greatest(created_at, if(changed_at <= seen_at, changed_at, seen_at))
            when seen_before is null then least(created_at, seen_at)
            when changed_at > seen_before and changed_at <= seen_at then changed_at
            else seen_at
        end as began_at
    from compared
    where not is_same
),

runs as (
    select *, lead(began_at) over (partition by node_key order by turn, seen_no) as next_at from changes
),

stretches as (
    select node_key, facts, state, began_at, next_at, false as is_before, file_row from runs
    union all
    -- before it went down for the first time that is known
    select node_key, facts, 'up', created_at, began_at, true, file_row from runs
    where seen_before is null and state <> 'up' and created_at < began_at
)

select
    {cluster} as cluster,
    unnest(stretches.facts),
    stretches.state,
    stretches.began_at as started_at,
    case
        when stretches.next_at is not null then greatest(stretches.next_at, stretches.began_at)
        when ends.ended_at < stretches.began_at then stretches.began_at
        else coalesce(ends.ended_at, {last})
    end as ended_at,
    stretches.file_row
from stretches left join k8s_node_ends as ends using (node_key)
"""


def select(db: duckdb.DuckDBPyConnection, source: Source, keys: Keys) -> str:
    """Make the rows of ``capacity`` and return the SELECT of them.

    Reads ``k8s_nodes_seen`` (seen_no, turn, seen_at, node_key, node, labels, annotations, hints, state, created_at, changed_at, provider_id,
    file_row), ``k8s_node_ends`` (node_key, ended_at, last_seen_at), ``k8s_container_requests`` and ``k8s_pod_requests``: what a
    node offers as (seen_no, resource, billionths).

    Raises:
        ConfigError: an option makes no sense.
    """
    others = accelerators(source)
    db.execute(
        kubernetes_gpus.RESOURCES.format(
            others=", ".join(map(text, others)) or "''",
            shares=" ".join(f"when name = {text(name)} then {share}" for name, share in others.items()),
        )
    )
    db.execute(_COUNTED)
    db.execute(
        _FACTS.format(
            replicas=by_node(source, "replicas", keys),
            hinted_replicas=keys.of("labels", "nvidia.com/gpu.replicas", "cloud.google.com/gke-max-shared-clients-per-gpu"),
            product=keys.of("labels", *PRODUCTS),
            stated_gpus=keys.of("labels", "nvidia.com/gpu.count"),
            gpu_mib=keys.of("labels", "nvidia.com/gpu.memory"),
            hami=keys.of("annotations", "hami.io/node-nvidia-register"),
            sku=keys.of("labels", *SKUS),
            region=keys.of("labels", *REGIONS),
            price=keys.purchase_option(),
            pool=keys.of("labels", *POOLS),
        )
    )
    last = source.option("open_ends", "open", ("open", "last_seen")) == "last_seen"
    cluster = text(source.cluster) if source.cluster else "null::varchar"
    db.execute(_ROWS.format(cluster=cluster, last="greatest(ends.last_seen_at, stretches.began_at)" if last else "null"))
    return "select * from k8s_rows"
