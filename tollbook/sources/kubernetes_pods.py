"""Read pods of the Kubernetes API (lists, snapshots, watch streams as JSON) as canonical ``holdings``: one row per pod.

Which objects a file may have stands in ``kubernetes_objects``, how shares of GPUs are found in ``kubernetes_gpus`` and ``kubernetes_claims``.
Kubernetes documentation: Pod v1, Pod Lifecycle, Sidecar Containers, Pod Overhead, ResourceClaim v1; NVIDIA's and HAMi's device plugins.

- A pod is its UID: a name that comes again is another holding. Without a UID it is namespace/name@start. Of several statements on a pod the
  latest counts (resourceVersion, then time, then place in the file); ``file_row`` is that object's number. Objects of other kinds are
  left out, but nodes, ResourceClaims and ResourceSlices of the file are used.
- Held from the PodScheduled condition on (images are pulled on the pod's requests), else status.startTime. Until the last container
  finished (Succeeded, Failed); for a deleted pod until then too, else the time of the DELETED event, else deletionTimestamp. A pod that
  a later snapshot does not have any more ended at that snapshot at the latest, and is taken to have held until then; its outcome nobody
  knows. Pods that never were on a node have no start.
- What still runs has no end: option ``open_ends: last_seen`` ends it where it was last seen, for files whose successors will say more.
- CPU, memory, disk: Kubernetes' own sum: the larger of all containers with the sidecars and of any init container with the sidecars
  started before it, or what the pod as a whole requests; plus overhead. Limits stand for requests that are missing. GB are 2^30 bytes.
- A pod with several kinds of GPUs has a row for each; the first has its CPUs, the others are called ``<uid>/<resource>``.
- ``job_id`` is namespace/name of the owner: by label (Kubeflow, JobSet, Ray, Volcano, Argo, KServe … Job), else by ownerReferences, a
  ReplicaSet standing for its Deployment.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import kubernetes_claims, kubernetes_gpus, kubernetes_objects, kubernetes_quantities
from tollbook.sources.kubernetes_holdings import OPTIONS, select
from tollbook.sources.kubernetes_names import Keys
from tollbook.workspace import Source

_STATES = (
    '[{"name": "VARCHAR", "state": {"running": {"startedAt": "VARCHAR"}, "terminated": {"startedAt": "VARCHAR", "finishedAt": "VARCHAR"}},'
    ' "lastState": {"terminated": {"finishedAt": "VARCHAR"}},'
    ' "allocatedResourcesStatus": [{"name": "VARCHAR", "resources": [{"resourceID": "VARCHAR"}]}]}]'
)
_RESOURCES = '{"requests": "MAP(VARCHAR, VARCHAR)", "limits": "MAP(VARCHAR, VARCHAR)"}'
_CONTAINERS = f'[{{"restartPolicy": "VARCHAR", "resources": {_RESOURCES}}}]'

# what every statement on a pod is looked at for
_TOLD = f"""
create or replace temp table k8s_statements as
with told as (
    select
        object_no, list_no, event,
        json_transform(item, '{{"metadata": {{"uid": "VARCHAR", "name": "VARCHAR", "namespace": "VARCHAR", "creationTimestamp": "VARCHAR",
            "resourceVersion": "VARCHAR"}}, "spec": {{"nodeName": "VARCHAR"}}, "status": {{"phase": "VARCHAR", "startTime": "VARCHAR",
            "conditions": [{{"type": "VARCHAR", "status": "VARCHAR", "reason": "VARCHAR", "lastTransitionTime": "VARCHAR"}}],
            "containerStatuses": {_STATES}, "initContainerStatuses": {_STATES}, "ephemeralContainerStatuses": {_STATES}}}}}') as pod
    from k8s_objects
    where (kind = 'Pod' or (kind is null and json_exists(item, '$.spec.containers'))) and coalesce(event, '') not in ('BOOKMARK', 'ERROR')
),

timed as (
    select
        *,
        list_filter(pod.status.conditions, lambda condition: condition.type = 'PodScheduled' and condition.status = 'True')[1]
            .lastTransitionTime as scheduled,
        list_concat(pod.status.initContainerStatuses, pod.status.containerStatuses) as states,
        list_transform(states, lambda one: k8s_time(one.state.terminated.finishedAt)) as finishes
    from told
)

select
    object_no, list_no, event, scheduled,
    pod.metadata.uid as uid,
    coalesce(pod.metadata.namespace, 'default') as namespace,
    pod.metadata.name as name,
    try_cast(pod.metadata.resourceVersion as hugeint) as version,
    pod.spec.nodeName as node,
    pod.status.phase as phase,
    pod.metadata.creationTimestamp as created,
    pod.status.startTime as started,
    k8s_time(created) as created_at,
    k8s_time(scheduled) as scheduled_at,
    k8s_time(pod.status.startTime) as began_at,
    list_min(list_transform(states, lambda one:
        k8s_time(coalesce(one.state.running.startedAt, one.state.terminated.startedAt)))) as ran_at,
    list_max(finishes) as finished_at,
    len(list_filter(list_zip(states, finishes), lambda pair: pair[2] is null)) = 0 and len(states) > 0 as is_finished,
    list_max(list_transform(pod.status.conditions, lambda condition: k8s_time(condition.lastTransitionTime))) as changed_at,
    list_filter(pod.status.conditions, lambda condition: condition.type = 'DisruptionTarget' and condition.status = 'True')[1]
        .reason as disruption,
    coalesce(uid, namespace || '/' || name || '@' || coalesce(created, started, '')) as pod_key
from timed
"""

_MOMENTS = """
create or replace temp table k8s_told as
select object_no, greatest(created_at, scheduled_at, began_at, ran_at, finished_at, changed_at) as told_at from k8s_statements
"""

# one row per pod: its latest statement, when it was last seen, and when a snapshot did not have it any more
_LATEST = """
create or replace temp table k8s_latest as
with placed as (
    select * from k8s_statements inner join k8s_snapshots using (list_no)
),

latest as (
    select
        *,
        min(coalesce(scheduled_at, began_at, if(node is not null, coalesce(ran_at, created_at), null))) over same as first_start,
        min(scheduled_at) over same as first_scheduled,
        max(turn) over same as last_turn,
        max(seen_at) over same as last_seen_at,
        max(finished_at) over same as last_finish
    from placed
    window same as (partition by pod_key)
    qualify row_number() over (
        partition by pod_key order by event is not distinct from 'DELETED' desc, version desc nulls last, turn desc, object_no desc
    ) = 1
),

-- a list of several namespaces is one of all; a list of one speaks for that one
lists as (
    select snapshot_no, min(turn) as turn, any_value(seen_at) as seen_at,
        count(distinct namespace) as namespaces, any_value(namespace) as namespace
    from placed
    where is_list and event is null
    group by snapshot_no
),

everywhere as (select turn, seen_at from lists where namespaces > 1),

somewhere as (
    select distinct lists.turn, lists.seen_at, placed.namespace
    from lists inner join placed using (snapshot_no)
)

select
    latest.*,
    -- the first list after the one it was last in
    case when everywhere.turn is null or somewhere.turn < everywhere.turn then somewhere.seen_at else everywhere.seen_at end as missed_at
from latest
asof left join everywhere on latest.last_turn < everywhere.turn
asof left join somewhere on latest.namespace = somewhere.namespace and latest.last_turn < somewhere.turn
"""

_PODS = f"""
create or replace temp table k8s_pods as
with nodes as (
    select item->>'$.metadata.name' as node, (item->'$.metadata.labels')::map(varchar, varchar) as node_labels
    from k8s_objects
    where kind = 'Node' and json_type(item, '$.metadata.labels') = 'OBJECT'
    qualify row_number() over (partition by node order by object_no desc) = 1
),

pods as (
    select
        latest.*,
        json_type(item, '$.spec') = 'OBJECT' as has_spec,
        json_transform(item, '{{"metadata": {{"deletionTimestamp": "VARCHAR",
            "labels": "MAP(VARCHAR, VARCHAR)", "annotations": "MAP(VARCHAR, VARCHAR)",
            "ownerReferences": [{{"kind": "VARCHAR", "name": "VARCHAR", "controller": "BOOLEAN"}}]}},
            "spec": {{"priorityClassName": "VARCHAR", "nodeSelector": "MAP(VARCHAR, VARCHAR)", "overhead": "MAP(VARCHAR, VARCHAR)",
                "resources": {_RESOURCES}, "containers": {_CONTAINERS}, "initContainers": {_CONTAINERS},
                "resourceClaims": [{{"name": "VARCHAR", "resourceClaimName": "VARCHAR"}}]}},
            "status": {{"reason": "VARCHAR", "containerStatuses": {_STATES},
                "resourceClaimStatuses": [{{"name": "VARCHAR", "resourceClaimName": "VARCHAR"}}],
                "extendedResourceClaimStatus": {{"resourceClaimName": "VARCHAR"}}}}}}') as pod
    from k8s_latest as latest
    inner join k8s_objects using (object_no)
)

select
    object_no as pod_no,
    pods.* exclude (pod, node, object_no),
    pods.node,
    pod.metadata.labels as labels,
    pod.metadata.annotations as annotations,
    map_concat(coalesce(pod.spec.nodeSelector, map()), coalesce(node_labels, map())) as hints,
    coalesce(
        list_filter(pod.metadata.ownerReferences, lambda owner: owner.controller)[1], pod.metadata.ownerReferences[1]
    ) as owner,
    (owner).kind as owner_kind,
    (owner).name as owner_name,
    pod.metadata.deletionTimestamp as deletion,
    k8s_time(deletion) as deletion_at,
    pod.status.reason as reason,
    pod.spec.priorityClassName as priority,
    pod.spec.containers as containers,
    pod.spec.initContainers as init_containers,
    pod.spec.resources as own_resources,
    pod.spec.overhead as overhead,
    list_distinct(list_filter(list_concat(
        list_transform(pod.spec.resourceClaims, lambda one: one.resourceClaimName),
        list_transform(pod.status.resourceClaimStatuses, lambda one: one.resourceClaimName),
        [pod.status.extendedResourceClaimStatus.resourceClaimName]
    ), lambda one: one is not null)) as claim_names,
    pod.status.containerStatuses as container_states
from pods
left join nodes on pods.node = nodes.node
"""

_REQUESTS = """
create or replace temp table k8s_container_requests as
with containers as (
    select
        pod_no, false as is_init, false as is_sidecar,
        unnest(range(1, len(containers) + 1)) as container_no, unnest(containers) as container
    from k8s_pods
    union all
    select
        pod_no, true, coalesce(unnest(init_containers).restartPolicy = 'Always', false),
        unnest(range(1, len(init_containers) + 1)), unnest(init_containers)
    from k8s_pods
),

amounts as (
    select
        * exclude (container),
        unnest(map_entries(map_concat(
            coalesce(container.resources.limits, map()), coalesce(container.resources.requests, map())
        ))) as amount
    from containers
),

quantities as (
    select quantity, k8s_billionths(quantity) as billionths from (select distinct amount.value as quantity from amounts)
)

select pod_no, is_init, is_sidecar, container_no, amount.key as resource, quantity, billionths
from amounts left join quantities on amount.value = quantity;

create or replace temp table k8s_pod_requests as
with running as (
    select
        pod_no, resource, is_init, is_sidecar, billionths,
        -- sidecars that were started before
        coalesce(sum(if(is_sidecar, billionths, 0)) over (
            partition by pod_no, resource, is_init order by container_no rows between unbounded preceding and 1 preceding
        ), 0)::hugeint as beside
    from k8s_container_requests
),

summed as (
    select
        pod_no,
        resource,
        greatest(
            coalesce(sum(billionths) filter (not is_init or is_sidecar), 0),
            coalesce(max(billionths + beside) filter (is_init and not is_sidecar), 0)
        )::hugeint as billionths
    from running
    group by all
),

whole as (
    select pod_no, amount.key as resource, k8s_billionths(amount.value) as billionths
    from (
        select pod_no, unnest(map_entries(map_concat(
            coalesce(own_resources.limits, map()), coalesce(own_resources.requests, map())
        ))) as amount
        from k8s_pods
    )
),

overheads as (
    select pod_no, amount.key as resource, k8s_billionths(amount.value) as billionths
    from (select pod_no, unnest(map_entries(overhead)) as amount from k8s_pods)
)

select
    pod_no, resource,
    coalesce(whole.billionths, summed.billionths, 0) + coalesce(overheads.billionths, 0) as billionths
from summed full join whole using (pod_no, resource) full join overheads using (pod_no, resource)
"""

# the kubelet says which devices each container got; a replica of a GPU is the GPU
_DEVICE_IDS = """
create or replace temp table k8s_device_ids as
select pod_no, device.name as resource, string_agg(regexp_replace(id.resourceID, '::.*$', ''), ',' order by id.resourceID) as gpu_ids
from (
    select pod_no, device, unnest(device.resources) as id
    from (
        select pod_no, unnest(state.allocatedResourcesStatus) as device
        from (select pod_no, unnest(container_states) as state from k8s_pods)
    )
)
where id.resourceID is not null
group by all
"""

_FAULTS = """
insert into unread
with broken as (
    select pod_no, any_value(resource) as resource, any_value(quantity) as quantity
    from k8s_container_requests where billionths is null or billionths < 0
    group by pod_no
)
select
    pod_no,
    fault[1],
    fault[2],
    fault[3]
from (
    select
        pod_no,
        case
            when name is null and uid is null then ['metadata', null, 'has neither a uid nor a name']
            when not has_spec or has_spec is null then ['spec', null, 'is missing: it says what the pod requests']
            when created is not null and created_at is null then ['creationTimestamp', created, 'is not a time']
            when scheduled is not null and scheduled_at is null then ['PodScheduled', scheduled, 'is not a time']
            when started is not null and began_at is null then ['startTime', started, 'is not a time']
            when deletion is not null and deletion_at is null then ['deletionTimestamp', deletion, 'is not a time']
            when resource is not null then [resource, quantity, 'is not a quantity']
        end as fault
    from k8s_pods left join broken using (pod_no)
)
where fault is not null
"""

# when it was held, and how that ended
_ENDS = """
create or replace temp table k8s_holdings as
with ends as (
    select
        *,
        phase in ('Succeeded', 'Failed') as is_over,
        event is not distinct from 'DELETED' as is_deleted,
        coalesce(first_scheduled, first_start) as started_at,
        case
            when is_over then coalesce(last_finish, changed_at, deletion_at, began_at, seen_at)
            when is_deleted then coalesce(
                if(is_finished, last_finish, null), if(has_stated_time, seen_at, null), deletion_at, last_finish, seen_at
            )
            when deletion_at is not null and is_finished then last_finish
            when missed_at is not null then coalesce(least(deletion_at, missed_at), missed_at)
            when deletion_at >= seen_at or (deletion_at is not null and seen_at is null) then deletion_at
        end as over_at
    from k8s_pods
    left join (select object_no as pod_no, stated_at is not null as has_stated_time from k8s_objects) using (pod_no)
)

select
    * exclude (reason),
    coalesce(uid, namespace || '/' || name || '@' || coalesce(strftime(started_at, '%Y-%m-%dT%H:%M:%SZ'), created, '')) as holding_id,
    created_at as submitted_at,
    case when over_at >= started_at then over_at when over_at < started_at then started_at end as ended_at,
    coalesce(reason, if(deletion_at is not null and not is_over, 'Terminating', null), phase) as state,
    case
        when reason in ('Evicted', 'Preempted', 'Preempting') or (disruption is not null and phase is distinct from 'Succeeded')
            then 'preempted'
        when phase = 'Succeeded' then 'succeeded'
        when reason = 'DeadlineExceeded' then 'timed_out'
        when phase = 'Failed' then 'failed'
        when is_deleted or deletion_at is not null then 'cancelled'
        when missed_at is not null then null
        when started_at is null then 'pending'
        else 'running'
    end as outcome
from ends
where pod_no not in (select file_row from unread)
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one file of Kubernetes objects on ``db``; return the SELECT of canonical ``holdings`` columns plus ``file_row``.

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, no JSON, or cut off.
    """
    source.refuse_other_options(*OPTIONS)
    keys = Keys()
    gpus = kubernetes_gpus.statements(source, keys)
    kubernetes_objects.open_objects(db, file)
    db.execute(kubernetes_quantities.MACROS)
    db.execute(_TOLD)
    db.execute(_MOMENTS)
    kubernetes_objects.time_snapshots(db, file)
    for statement in (_LATEST, _PODS, _REQUESTS, _DEVICE_IDS, _FAULTS, kubernetes_claims.CLAIMS, kubernetes_claims.UNCLAIMED, *gpus, _ENDS):
        db.execute(statement)
    return select(db, source, keys)
