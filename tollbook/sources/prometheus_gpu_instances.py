"""Read GPU metrics as canonical ``gpu_instances``: a MIG instance is there from its first sample to its last, as a GPU is.

DCGM names the GPU instance (GPU_I_ID) and its profile (GPU_I_PROFILE), not its UUID: ``instance_id`` is then what drivers before
R470 called it, ``MIG-<GPU>/<GPU instance>/<compute instance>`` (0 where no label says it), else the MIG UUID. A file without MIG
gives no row. Options are those of ``prometheus_gpu_capacity``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import prometheus_devices
from tollbook.sources.typing import text
from tollbook.workspace import Source


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``gpu_instances`` columns and ``file_row``.

    Raises:
        ConfigError: an option that makes no sense.
        DeliveryError: the file cannot be read, has no GPU in it, or no moment.
    """
    source.refuse_other_options(*prometheus_devices.OPTIONS, "absent_after_seconds", "interval_seconds")
    prometheus_devices.open_devices(db, file, source)
    db.execute(
        """
        create or replace temp table gpu_moments as
        with profiles as (
            select gpu_id, instance_id, max(profile) as profile from gpu_entities where instance_id is not null group by all
        )

        select
            entities.node, entities.gpu_id, entities.instance_id, coalesce(entities.profile, profiles.profile) as profile, points.moment,
            min(points.file_row) as file_row
        from prometheus_points as points
        inner join gpu_series as series using (series_id)
        inner join gpu_entities as entities using (entity_id)
        left join profiles using (gpu_id, instance_id)
        group by all
        """
    )
    keys = "node, gpu_id, instance_id, profile"
    moments = f"select {keys}, moment from gpu_moments where instance_id is not null"
    db.execute(
        f"""
        create or replace temp table gpu_divided as
        with there as ({prometheus_devices.islands(keys, moments, source)})

        select there.*, moments.file_row
        from there
        left join gpu_moments as moments
            on there.node is not distinct from moments.node and there.gpu_id = moments.gpu_id and there.instance_id = moments.instance_id
            and there.profile is not distinct from moments.profile and there.started_at = moments.moment
        """
    )
    cluster = f"{text(source.cluster)} as cluster, " if source.cluster else ""
    return f"select {cluster}* from gpu_divided"
