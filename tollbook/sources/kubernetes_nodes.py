"""Read nodes of the Kubernetes API (lists, snapshots, watch streams as JSON) as canonical ``capacity``: a row per node and state.

Which objects a file may have stands in ``kubernetes_objects``, what a node has and since when in ``kubernetes_capacity``. Kubernetes
documentation: Node v1, Well-Known Labels; NVIDIA's GPU feature discovery; the node labels of EKS, GKE, AKS and Karpenter.

- A node is its name and UID: one of the same name with another UID is another one. Other kinds of objects are left out.
- It ends with its DELETED event, or with the first later snapshot that does not have it; the last state is open, or with the option
  ``open_ends: last_seen`` ends where the node was last seen.
- CPU, memory and disk are ``status.capacity``, else ``allocatable``; GB are 2^30 bytes. ``file_row`` is the number of the object that
  first said the state.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import kubernetes_capacity, kubernetes_objects, kubernetes_quantities
from tollbook.sources.kubernetes_names import Keys
from tollbook.workspace import Source

_SEEN = """
create or replace temp table k8s_node_statements as
select
    object_no, list_no, is_list, event, stated_at,
    json_transform(item, '{"metadata": {"uid": "VARCHAR", "name": "VARCHAR", "creationTimestamp": "VARCHAR", "deletionTimestamp": "VARCHAR",
        "labels": "MAP(VARCHAR, VARCHAR)", "annotations": "MAP(VARCHAR, VARCHAR)"},
        "spec": {"providerID": "VARCHAR", "unschedulable": "BOOLEAN", "taints": [{"key": "VARCHAR", "timeAdded": "VARCHAR"}]},
        "status": {"capacity": "MAP(VARCHAR, VARCHAR)", "allocatable": "MAP(VARCHAR, VARCHAR)",
        "conditions": [{"type": "VARCHAR", "status": "VARCHAR", "lastTransitionTime": "VARCHAR", "lastHeartbeatTime": "VARCHAR"}]}}') as node
from k8s_objects
where kind = 'Node' and coalesce(event, '') not in ('BOOKMARK', 'ERROR');

create or replace temp table k8s_told as
select
    object_no,
    greatest(k8s_time(node.metadata.creationTimestamp), list_max(list_transform(node.status.conditions, lambda condition:
        greatest(k8s_time(condition.lastTransitionTime), k8s_time(condition.lastHeartbeatTime))))) as told_at
from k8s_node_statements
"""

_NODES = """
create or replace temp table k8s_all_nodes as
with placed as (
    select
        *,
        node.metadata as metadata,
        list_filter(node.status.conditions, lambda condition: condition.type = 'Ready')[1] as ready,
        list_filter(node.spec.taints, lambda taint: taint.key = 'node.kubernetes.io/unschedulable')[1] as taint
    from k8s_node_statements inner join k8s_snapshots using (list_no)
)

select
    object_no as seen_no,
    object_no as file_row,
    turn,
    seen_at,
    snapshot_no,
    is_list,
    event is not distinct from 'DELETED' as is_deleted,
    stated_at,
    (metadata).name as node,
    (metadata).name || '/' || coalesce((metadata).uid, '') as node_key,
    (metadata).creationTimestamp as created,
    k8s_time(created) as created_at,
    k8s_time((metadata).deletionTimestamp) as deletion_at,  -- of a node, the moment it was asked for
    (metadata).labels as labels,
    (metadata).annotations as annotations,
    labels as hints,
    coalesce(node.status.capacity, node.status.allocatable) as offered,
    node.spec.providerID as provider_id,
    case
        when (ready).status <> 'True' then 'down'
        when node.spec.unschedulable or deletion_at is not null then 'drain'
        else 'up'
    end as state,
    case
        when state = 'drain' then coalesce(k8s_time((taint).timeAdded), deletion_at)
        else k8s_time((ready).lastTransitionTime)
    end as changed_at
from placed;

create or replace temp table k8s_pod_requests as
select seen_no, amount.key as resource, amount.value as quantity, k8s_billionths(amount.value) as billionths
from (select seen_no, unnest(map_entries(offered)) as amount from k8s_all_nodes);

create or replace temp table k8s_container_requests as select resource from k8s_pod_requests limit 0;

insert into unread
select
    seen_no,
    fault[1],
    fault[2],
    fault[3]
from (
    select
        seen_no,
        case
            when node is null then ['metadata', null, 'has no name']
            when created is not null and created_at is null then ['creationTimestamp', created, 'is not a time']
            when seen_at is null then ['creationTimestamp', null, 'is missing, and nothing says when the node was seen']
            when resource is not null then [resource, quantity, 'is not a quantity']
        end as fault
    from k8s_all_nodes
    left join (
        select seen_no, any_value(resource) as resource, any_value(quantity) as quantity
        from k8s_pod_requests where billionths is null or billionths < 0 group by seen_no
    ) using (seen_no)
)
where fault is not null;

create or replace temp table k8s_nodes_seen as
select * from k8s_all_nodes where not is_deleted and seen_no not in (select file_row from unread);

create or replace temp table k8s_node_ends as
with seen as (
    select
        node_key,
        max(turn) filter (not is_deleted) as last_turn,
        max(seen_at) filter (not is_deleted) as last_seen_at,
        min(coalesce(stated_at, deletion_at, seen_at)) filter (is_deleted) as deleted_at
    from k8s_all_nodes
    group by node_key
),

lists as (select min(turn) as turn, any_value(seen_at) as seen_at from k8s_all_nodes where is_list group by snapshot_no)

select node_key, last_seen_at, coalesce(deleted_at, lists.seen_at) as ended_at
from seen asof left join lists on seen.last_turn < lists.turn
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one file of Kubernetes objects on ``db``; return the SELECT of canonical ``capacity`` columns plus ``file_row``.

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, no JSON, or cut off.
    """
    source.refuse_other_options(*kubernetes_capacity.OPTIONS)
    kubernetes_objects.open_objects(db, file)
    db.execute(kubernetes_quantities.MACROS)
    db.execute(_SEEN)
    kubernetes_objects.time_snapshots(db, file)
    db.execute(_NODES)
    return kubernetes_capacity.select(db, source, Keys())
