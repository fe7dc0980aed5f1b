"""Read GPU metrics as canonical ``capacity``: a GPU is there from its first sample to its last, and one interval more.

So a fleet without an inventory has one. A gap longer than ``absent_after_seconds`` (900) ends it, and the next sample begins it
again. The interval is the file's usual one, or ``interval_seconds`` (of files with one moment: 60 where nothing is said).
A row is one GPU; MIG instances are no GPUs. The model and the memory (GB of 2^30 bytes) are what the exporter says of it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import prometheus_devices
from tollbook.sources.typing import text
from tollbook.workspace import Source


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``capacity`` columns and ``file_row``.

    Raises:
        ConfigError: an option that makes no sense.
        DeliveryError: the file cannot be read, has no GPU in it, no moment, or no label that says the node.
    """
    source.refuse_other_options(*prometheus_devices.OPTIONS, "absent_after_seconds", "interval_seconds")
    prometheus_devices.open_devices(db, file, source)
    nameless = db.execute("select gpu_id from gpu_entities where node is null order by 1 limit 1").fetchone()
    if nameless:
        raise DeliveryError(
            f"{file.name}: no label (Hostname, node, instance) says on which node GPU {nameless[0]} is."
            " Set options: {node: name}, one source a node."
        )
    db.execute(
        """
        create or replace temp table gpu_moments as
        select entities.node, entities.gpu_id, points.moment, min(points.file_row) as file_row
        from prometheus_points as points
        inner join gpu_series as series using (series_id)
        inner join gpu_entities as entities using (entity_id)
        group by all
        """
    )
    value = prometheus_devices.value()
    db.execute(
        f"""
        create or replace temp table gpu_capacity as
        with memory as (
            select
                entities.node, entities.gpu_id, points.moment,
                max({value} * series.factor) filter (where series.measure = 'total') as total,
                max({value} * series.factor) filter (where series.measure = 'used') as used,
                max({value} * series.factor) filter (where series.measure = 'free') as free,
                max({value} * series.factor) filter (where series.measure = 'reserved') as reserved
            from prometheus_points as points
            inner join gpu_series as series using (series_id)
            inner join gpu_entities as entities using (entity_id)
            where entities.instance_id is null
            group by all
        ),

        sizes as (
            select node, gpu_id, max(coalesce(total, used + free + coalesce(reserved, 0))) as gpu_memory_gb from memory group by all
        ),

        models as (select node, gpu_id, max(model) as gpu_model, min(gpu_id) as first_id from gpu_entities group by all),

        there as ({prometheus_devices.islands("node, gpu_id", "select node, gpu_id, moment from gpu_moments", source)})

        select
            there.node, there.gpu_id, models.gpu_model, 1 as gpu_count, sizes.gpu_memory_gb, there.started_at, there.ended_at,
            moments.file_row
        from there
        inner join models using (node, gpu_id)
        left join sizes using (node, gpu_id)
        left join gpu_moments as moments
            on there.node = moments.node and there.gpu_id = moments.gpu_id and there.started_at = moments.moment
        """
    )
    cluster = f"{text(source.cluster)} as cluster, " if source.cluster else ""
    return f"select {cluster}* from gpu_capacity"
