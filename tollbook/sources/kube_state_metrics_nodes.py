"""Read series of kube-state-metrics as canonical ``capacity``: one row per node and state.

Which files there may be stands in ``prometheus``, what a node has in ``kubernetes_capacity``. kube-state-metrics documentation: Node
Metrics. What a node has is what its series said last; its state (``kube_node_status_condition`` Ready, ``kube_node_spec_unschedulable``) is
followed from sample to sample. A node whose series stop while others go on is gone one usual interval after its last sample; series that
come back are of the same node, up in between as it was seen before. At the end of the file it goes on: no end, or with the option
``open_ends: last_seen`` its last sample. ``file_row`` is the first row of the node's series.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import kubernetes_capacity, kubernetes_quantities
from tollbook.sources.kubernetes_names import Keys
from tollbook.sources.prometheus_series import open_series
from tollbook.workspace import Source

_NODES = """
create or replace temp table k8s_node_series as
select *, coalesce(labels['exported_node'], labels['node']) as node from prom_series
where starts_with(metric, 'kube_node_') and coalesce(labels['exported_node'], labels['node'], '') <> '';

create or replace temp table k8s_told_nodes as
select
    node,
    min(file_row) as file_row,
    min(first_at) as first_seen_at,
    max(last_at) as last_seen_at,
    prom_time((min(value) filter (metric = 'kube_node_created'))::varchar) as created_at,
    arg_max(nullif(labels['provider_id'], ''), last_at) filter (metric = 'kube_node_info') as provider_id,
    map_from_entries(list_transform(
        list_filter(map_entries(arg_max(labels, last_at) filter (metric = 'kube_node_labels')), lambda one: starts_with(one.key, 'label_')),
        lambda one: (one.key[7:], one.value)
    )) as labels,
    map_from_entries(list_transform(
        list_filter(
            map_entries(arg_max(labels, last_at) filter (metric = 'kube_node_annotations')), lambda one: starts_with(one.key, 'annotation_')
        ),
        lambda one: (one.key[12:], one.value)
    )) as annotations
from k8s_node_series
group by node;

-- the states of a node, at the moments at which they changed
create or replace temp table k8s_nodes_seen as
with moments as (
    select
        series.node,
        points.moment as sampled_at,
        max(series.labels['status']) filter (series.metric = 'kube_node_status_condition' and points.value > 0) as ready,
        max(points.value) filter (series.metric = 'kube_node_spec_unschedulable') as unschedulable
    from prometheus_points as points
    inner join k8s_node_series as series on points.series_id = series.series_id
    where not isnan(points.value) and (series.metric <> 'kube_node_status_condition' or series.labels['condition'] = 'Ready')
    group by all
),

states as (
    select
        *,
        case
            when lower(coalesce(ready, 'true')) <> 'true' then 'down'
            when unschedulable > 0 then 'drain'
            else 'up'
        end as state
    from moments
),

changes as (
    select * from states
    qualify lag(state) over (partition by node order by sampled_at) is distinct from state
)

select
    row_number() over (order by changes.node, sampled_at) as seen_no,
    seen_no as turn,
    sampled_at as seen_at,
    changes.node as node_key,
    changes.node,
    state,
    least(created_at, first_seen_at) as created_at,
    null::timestamp as changed_at,
    provider_id, labels, annotations, labels as hints, file_row
from changes inner join k8s_told_nodes as nodes on changes.node = nodes.node;

create or replace temp table k8s_node_ends as
select
    node as node_key,
    last_seen_at,
    case when last_seen_at + clock.step * 3 / 4 <= clock.last_at and clock.step > interval 0 second
        then last_seen_at + clock.step end as ended_at
from k8s_told_nodes cross join prom_clock as clock;

create or replace temp table k8s_pod_requests as
with told as (
    select
        node,
        coalesce(labels['resource'], case
            when metric like '%_cpu_cores' then 'cpu' when metric like '%_memory_bytes' then 'memory'
        end) as resource,
        metric like 'kube_node_status_capacity%' as is_capacity,
        round(arg_max(value, last_at) * 1000000000)::hugeint as billionths
    from k8s_node_series
    where regexp_full_match(metric, 'kube_node_status_(capacity|allocatable)(_cpu_cores|_memory_bytes)?') and value >= 0
    group by all
)

select seen_no, resource, billionths
from told inner join k8s_nodes_seen using (node)
where resource is not null
qualify row_number() over (partition by seen_no, resource order by is_capacity desc) = 1;

create or replace temp table k8s_container_requests as select resource from k8s_pod_requests limit 0
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Prepare one file of series on ``db``; return the SELECT of canonical ``capacity`` columns plus ``file_row``.

    Raises:
        ConfigError: an option makes no sense.
        DeliveryError: the file is empty, cut off, or has no series of nodes.
    """
    source.refuse_other_options(*kubernetes_capacity.OPTIONS)
    open_series(db, file, source, ("kube_node_",))
    db.execute(kubernetes_quantities.MACROS)
    db.execute(_NODES)
    return kubernetes_capacity.select(db, source, Keys(sanitised=True))
