"""Read series of kube-state-metrics as canonical ``holdings``: one row per pod.

Which files there may be stands in ``prometheus``, how shares of GPUs are found in ``kubernetes_gpus``. kube-state-metrics documentation:
Pod Metrics, Node Metrics.

- A pod is its ``uid``; series without one (before version 2) are those of the pod of that name in ``kube_pod_info``, else namespace/name@start.
  Labels that Prometheus renamed (``exported_pod``) are meant.
- Held from ``kube_pod_status_scheduled_time``, else ``kube_pod_start_time``, else ``kube_pod_created``, on a node. Until
  ``kube_pod_completion_time``; a failed pod without it (evicted) until ``kube_pod_deletion_timestamp``, or since it was first seen failed.
- A pod whose series stop while others go on is gone one usual interval after its last sample. Series that come back are the same holding.
  At the end of the file it still runs: no end, or with the option ``open_ends: last_seen`` its last sample.
- All series of a pod must be in one file; where a file has no requests, nothing is said of amounts. Requests are summed as Kubernetes does; the order of init containers is not in the metrics, so sidecars count beside the containers, not
  beside init containers. GB are 2^30 bytes. Labels have the names that kube-state-metrics gives them (``app_kubernetes_io_name``); options
  may name them as Kubernetes does.
- ``file_row`` is the first row of the pod's series.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import kubernetes_gpus, kubernetes_quantities
from tollbook.sources.kubernetes_holdings import OPTIONS, select
from tollbook.sources.kubernetes_names import Keys
from tollbook.sources.prometheus_series import open_series
from tollbook.workspace import Source

_POD_SERIES = """
create or replace temp table k8s_pod_series as
with named as (
    select
        *,
        coalesce(labels['exported_namespace'], labels['namespace'], 'default') as namespace,
        coalesce(labels['exported_pod'], labels['pod']) as name,
        nullif(coalesce(labels['exported_uid'], labels['uid']), '') as stated_uid,
        nullif(coalesce(labels['exported_node'], labels['node']), '') as node,
        coalesce(labels['exported_container'], labels['container']) as container
    from prom_series
    where starts_with(metric, 'kube_pod_')
),

-- a name may be several pods, one after the other
known as (
    select namespace, name, stated_uid as uid, min(first_at) as from_at
    from named
    where metric = 'kube_pod_info' and stated_uid is not null
    group by all
)

select named.*, coalesce(stated_uid, known.uid) as uid, coalesce(stated_uid, known.uid, named.namespace || '/' || named.name) as pod_key
from named
asof left join known on named.namespace = known.namespace and named.name = known.name and named.last_at >= known.from_at
where named.name is not null
"""

_PODS = """
create or replace temp table k8s_told_pods as
with told as (
    select
        pod_key,
        min(file_row) as pod_no,
        any_value(uid) as uid,
        any_value(namespace) as namespace,
        any_value(name) as name,
        min(first_at) as first_seen_at,
        max(last_at) as last_seen_at,
        coalesce(
            arg_max(node, last_at) filter (metric = 'kube_pod_info'),
            arg_max(node, last_at) filter (metric like '%resource_requests%')
        ) as node,
        arg_max(nullif(nullif(labels['created_by_kind'], '<none>'), ''), last_at) filter (metric = 'kube_pod_info') as created_by_kind,
        arg_max(nullif(nullif(labels['created_by_name'], '<none>'), ''), last_at) filter (metric = 'kube_pod_info') as created_by_name,
        arg_max(nullif(labels['priority_class'], ''), last_at) filter (metric = 'kube_pod_info') as priority,
        arg_max(nullif(nullif(labels['owner_kind'], '<none>'), ''), last_at) filter (metric = 'kube_pod_owner' and is_controller) as owner_kind_,
        arg_max(nullif(nullif(labels['owner_name'], '<none>'), ''), last_at) filter (metric = 'kube_pod_owner' and is_controller) as owner_name_,
        min(value) filter (metric = 'kube_pod_status_scheduled_time') as scheduled,
        min(value) filter (metric = 'kube_pod_start_time') as started,
        min(value) filter (metric = 'kube_pod_created') as created,
        max(value) filter (metric = 'kube_pod_completion_time') as completed,
        max(value) filter (metric in ('kube_pod_deletion_timestamp', 'kube_pod_deleted')) as deleted,
        arg_max(labels['phase'], last_true_at) filter (metric = 'kube_pod_status_phase' and last_true_at is not null) as phase,
        min(first_true_at) filter (metric = 'kube_pod_status_phase' and labels['phase'] in ('Failed', 'Succeeded')) as over_seen_at,
        min(first_true_at) filter (metric = 'kube_pod_status_phase' and labels['phase'] = 'Running') as running_seen_at,
        arg_max(labels['reason'], last_true_at) filter (metric = 'kube_pod_status_reason' and last_true_at is not null) as reason,
        arg_max(labels, last_at) filter (metric = 'kube_pod_labels') as label_map,
        arg_max(labels, last_at) filter (metric = 'kube_pod_annotations') as annotation_map
    from (select *, coalesce(labels['owner_is_controller'], 'true') = 'true' as is_controller from k8s_pod_series)
    group by pod_key
),

nodes as (
    select
        coalesce(labels['exported_node'], labels['node']) as node,
        map_from_entries(list_transform(
            list_filter(map_entries(labels), lambda one: starts_with(one.key, 'label_')), lambda one: (one.key[7:], one.value)
        )) as hints
    from prom_series
    where metric = 'kube_node_labels'
    qualify row_number() over (partition by coalesce(labels['exported_node'], labels['node']) order by last_at desc) = 1
),

timed as (
    select
        told.* exclude (owner_kind_, owner_name_),
        coalesce(owner_kind_, created_by_kind) as owner_kind,
        coalesce(owner_name_, created_by_name) as owner_name,
        prom_time(scheduled::varchar) as scheduled_at,
        prom_time(started::varchar) as began_at,
        prom_time(created::varchar) as submitted_at,
        prom_time(completed::varchar) as completed_at,
        prom_time(deleted::varchar) as deletion_at,
        case when told.last_seen_at + clock.step * 3 / 4 <= clock.last_at and clock.step > interval 0 second
            then told.last_seen_at + clock.step end as gone_at,
        map_from_entries(list_transform(
            list_filter(map_entries(label_map), lambda one: starts_with(one.key, 'label_')), lambda one: (one.key[7:], one.value)
        )) as labels,
        map_from_entries(list_transform(
            list_filter(map_entries(annotation_map), lambda one: starts_with(one.key, 'annotation_')), lambda one: (one.key[12:], one.value)
        )) as annotations
    from told cross join prom_clock as clock
)

select timed.*, nodes.hints from timed left join nodes on timed.node = nodes.node
"""

_REQUESTS = """
create or replace temp table k8s_container_requests as
with sidecars as (
    select distinct pod_key, container from k8s_pod_series
    where metric = 'kube_pod_init_container_info' and labels['restart_policy'] = 'Always'
)

select
    pods.pod_no,
    series.metric like 'kube_pod_init_%' as is_init,
    sidecars.container is not null as is_sidecar,
    dense_rank() over (partition by pods.pod_no order by is_init, series.container) as container_no,
    coalesce(series.labels['resource'], case
        when metric like '%_cpu_cores' then 'cpu' when metric like '%_memory_bytes' then 'memory'
    end) as resource,
    round(arg_max(value, last_at) * 1000000000)::hugeint as billionths
from k8s_pod_series as series
inner join k8s_told_pods as pods using (pod_key)
left join sidecars on series.pod_key = sidecars.pod_key and series.container = sidecars.container
where regexp_full_match(metric, 'kube_pod_(init_)?container_resource_requests(_cpu_cores|_memory_bytes)?') and value >= 0
group by pods.pod_no, metric, sidecars.container, series.container, series.labels['resource'];

create or replace temp table k8s_pod_requests as
with summed as (
    select
        pod_no,
        resource,
        greatest(
            coalesce(sum(billionths) filter (not is_init or is_sidecar), 0),
            coalesce(max(billionths) filter (is_init and not is_sidecar), 0)
        )::hugeint as billionths
    from k8s_container_requests
    group by all
),

overheads as (
    select
        pods.pod_no,
        coalesce(series.labels['resource'], case
            when metric like '%_cpu_cores' then 'cpu' when metric like '%_memory_bytes' then 'memory'
        end) as resource,
        round(max(value) * 1000000000)::hugeint as billionths
    from k8s_pod_series as series inner join k8s_told_pods as pods using (pod_key)
    where metric in ('kube_pod_overhead', 'kube_pod_overhead_cpu_cores', 'kube_pod_overhead_memory_bytes')
    group by all
)

select pod_no, resource, coalesce(summed.billionths, 0) + coalesce(overheads.billionths, 0) as billionths
from summed full join overheads using (pod_no, resource);

create or replace temp table k8s_device_ids (pod_no bigint, resource varchar, gpu_ids varchar);
create or replace temp table k8s_claimed (
    pod_no bigint, resource varchar, gpus bigint, share bigint, sharing varchar, gpu_profile varchar, gpu_ids varchar
);
create or replace temp table k8s_unclaimed (pod_no bigint)
"""

_ENDS = """
create or replace temp table k8s_holdings as
with starts as (
    select
        *,
        phase in ('Succeeded', 'Failed') as is_over,
        case
            when scheduled_at is not null or began_at is not null then coalesce(scheduled_at, began_at)
            when node is not null then coalesce(submitted_at, running_seen_at, first_seen_at)
        end as started_at
    from k8s_pods
),

ends as (
    select
        *,
        case
            when completed_at is not null then completed_at
            when is_over then coalesce(least(deletion_at, over_seen_at), over_seen_at)
            when gone_at is not null then coalesce(least(deletion_at, gone_at), gone_at)
            when deletion_at >= last_seen_at then deletion_at
        end as over_at
    from starts
)

select
    * exclude (reason),
    coalesce(uid, namespace || '/' || name || coalesce('@' || strftime(started_at, '%Y-%m-%dT%H:%M:%SZ'), '')) as holding_id,
    case when over_at >= started_at then over_at when over_at < started_at then started_at end as ended_at,
    coalesce(reason, if(deletion_at is not null and not is_over, 'Terminating', null), phase) as state,
    case
        when reason in ('Evicted', 'Preempted', 'Preempting', 'Shutdown', 'Terminated') then 'preempted'
        when phase = 'Succeeded' then 'succeeded'
        when reason = 'DeadlineExceeded' then 'timed_out'
        when phase = 'Failed' then 'failed'
        when deletion_at is not null then 'cancelled'
        when gone_at is not null then null
        when started_at is null then 'pending'
        else 'running'
    end as outcome
from ends
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one file of series on ``db``; return the SELECT of canonical ``holdings`` columns plus ``file_row``.

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, cut off, or has no series of pods.
    """
    source.refuse_other_options(*OPTIONS)
    keys = Keys(sanitised=True)
    gpus = kubernetes_gpus.statements(source, keys)
    open_series(db, file, source, ("kube_pod_", "kube_node_labels"))
    db.execute(kubernetes_quantities.MACROS)
    for statement in (_POD_SERIES, _PODS, _REQUESTS, "create or replace temp view k8s_pods as from k8s_told_pods", *gpus, _ENDS):
        db.execute(statement)
    has_requests = db.execute("select exists (from k8s_container_requests)").fetchone()[0]
    return select(db, source, keys, has_requests)
