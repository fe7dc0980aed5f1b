"""The rows of ``holdings`` from pods and their requests, whether the API told of them or kube-state-metrics."""

from __future__ import annotations

import duckdb

from tollbook.sources import kubernetes_gpus
from tollbook.sources.kubernetes_names import POOLS, Keys, named_labels
from tollbook.sources.typing import text
from tollbook.workspace import Source

_LABELS = ("tenant_label", "model_label", "user_label", "account_label")
OPTIONS = (*kubernetes_gpus.OPTIONS, *_LABELS, "open_ends")

_ROWS = """
create or replace temp table k8s_rows as
with amounts as (
    select
        pod_no,
        sum(billionths) filter (resource = 'cpu')::hugeint as cpu,
        sum(billionths) filter (resource = 'memory')::hugeint as memory,
        sum(billionths) filter (resource in ('ephemeral-storage', 'ephemeral_storage'))::hugeint as disk
    from k8s_pod_requests
    group by pod_no
)

select
    if(coalesce(place, 1) = 1, holding_id, holding_id || '/' || coalesce(gpu_profile, resource)) as holding_id,
    namespace || '/' || coalesce({job}, case
        when owner_kind = 'ReplicaSet' then regexp_replace(
            owner_name, '-' || coalesce(nullif({template}, ''), '[a-z0-9]{{5,10}}') || '$', ''
        )
        when owner_kind <> 'Node' then owner_name
    end) as job_id,
    {attempt} as attempt,
    {kind} as holder_kind,
    name,
    {cluster} as cluster,
    {pool} as pool,
    node,
    gpu_ids,
    case when {known} and (unclaimed.pod_no is null or gpus is not null) then coalesce(gpus, 0)::decimal(18, 6) end as gpu_count,
    k8s_decimal(share::hugeint) as gpu_share,
    if(gpus is not null, gpu_model, null) as gpu_model,
    gpu_profile,
    rows.sharing as gpu_sharing,
    k8s_decimal((rows.memory + 512000) // 1024000) as gpu_memory_gb,
    if({known}, k8s_count(if(coalesce(place, 1) = 1, coalesce(cpu, 0), 0)), null) as cpu_count,
    if({known}, k8s_gb(if(coalesce(place, 1) = 1, coalesce(amounts.memory, 0), 0)), null) as memory_gb,
    if({known}, k8s_gb(if(coalesce(place, 1) = 1, coalesce(disk, 0), 0)), null) as disk_gb,
    submitted_at,
    started_at,
    {ended_at} as ended_at,
    state,
    outcome,
    namespace,
    {account} as account,
    {user} as user_name,
    {model} as model,
    {tenant} as tenant,
    priority,
    to_json(labels)::varchar as labels,
    pods.pod_no as file_row
from k8s_holdings as pods
left join amounts using (pod_no)
left join k8s_gpus as rows using (pod_no)
left join k8s_gpu_facts as facts using (pod_no)
left join k8s_unclaimed as unclaimed using (pod_no)
"""


def select(db: duckdb.DuckDBPyConnection, source: Source, keys: Keys, has_requests: bool = True) -> str:
    """Make the rows of ``holdings`` and return the SELECT of them; without requests in the file all amounts are NULL.

    Reads ``k8s_holdings`` (pod_no, holding_id, namespace, name, node, owner_kind, owner_name, labels, annotations, hints, priority, submitted_at,
    started_at, ended_at, last_seen_at, state, outcome), ``k8s_pod_requests``, ``k8s_gpus``, ``k8s_gpu_facts`` and ``k8s_unclaimed``.

    Raises:
        ConfigError: an option makes no sense.
    """
    ends = "ended_at"
    if source.option("open_ends", "open", ("open", "last_seen")) == "last_seen":
        ends = "coalesce(ended_at, if(started_at is not null, greatest(last_seen_at, started_at), null))"
    tenant, model, user, account = (keys.of("labels", *named_labels(source, option)) for option in _LABELS)
    db.execute(
        _ROWS.format(
            job=keys.job(),
            template=keys.of("labels", "pod-template-hash"),
            attempt=keys.attempt(),
            kind=keys.kind(),
            cluster=text(source.cluster) if source.cluster else "null::varchar",
            pool=keys.of("hints", *POOLS),
            ended_at=ends,
            account=account,
            user=f"coalesce({user}, {keys.of('labels', 'hub.jupyter.org/username')})",
            model=model,
            tenant=tenant,
            known=str(has_requests).lower(),
        )
    )
    return "select * from k8s_rows"
