"""Read GPU metrics as canonical ``gpu_samples``: one row per device, MIG instance or process, holder and moment.

What files may look like: ``prometheus``, ``nvidia_smi``. What the metrics mean: ``prometheus_devices``.

- ``sm_ratio`` is DCGM_FI_DEV_GPU_UTIL (or its like of other exporters); where that is absent, as on MIG instances, the share of
  time in which the engine was active (GR_ENGINE_ACTIVE). Profiling counters stand in columns of their own. What is absent stays
  NULL: under MIG nvidia_gpu_exporter has no utilisation, which is not 0.
- A GPU that many pods share has its row repeated for each; ``process_sm_ratio`` stands only in rows that measure one holder.
- A series told twice at one moment (two replicas, overlapping pulls) is one.
- Memory is in GB of 2^30 bytes; ``memory_ratio`` is used by total, total being used + free + reserved where it is not stated.
- ``holding_id`` is the pod's UID where a label says it, else namespace/pod, else the job of DCGM's job mapping.
- ``file_row`` is the first line, record or series of the row.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import prometheus_devices
from tollbook.workspace import Source


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``gpu_samples`` columns and ``file_row``.

    Raises:
        ConfigError: an option that makes no sense.
        DeliveryError: the file cannot be read, has no GPU in it, or no moment.
    """
    source.refuse_other_options(*prometheus_devices.OPTIONS, "absent_after_seconds", "interval_seconds")
    prometheus_devices.open_devices(db, file, source)

    def largest(measure: str) -> str:
        return f"max(value * factor) filter (where measure = '{measure}')"

    db.execute(
        f"""
        create or replace temp table gpu_rows as
        with measured as (
            select
                series.entity_id, points.moment, points.file_row, series.measure, series.factor, {prometheus_devices.value()} as value
            from prometheus_points as points
            inner join gpu_series as series using (series_id)
        ),

        pivoted as (
            select
                entity_id, moment, min(file_row) as file_row,
                {largest("busy")} as busy, {largest("engine")} as engine, {largest("sm_active")} as sm_active,
                {largest("tensor")} as tensor, {largest("dram")} as dram, {largest("memory_ratio")} as memory_ratio,
                {largest("used")} as used, {largest("free")} as free, {largest("reserved")} as reserved, {largest("total")} as total,
                {largest("power")} as power, {largest("power_now")} as power_now, {largest("xid")} as xid,
                {largest("process")} as process_sm, {largest("process_used")} as process_used
            from measured
            group by entity_id, moment
        )

        select
            pivoted.moment as sampled_at, entities.node, entities.gpu_id, entities.instance_id,
            coalesce(pivoted.busy, pivoted.engine) as sm_ratio,
            pivoted.sm_active as sm_active_ratio, pivoted.tensor as tensor_active_ratio, pivoted.dram as dram_active_ratio,
            coalesce(
                pivoted.memory_ratio,
                pivoted.used / nullif(coalesce(pivoted.total, pivoted.used + pivoted.free + coalesce(pivoted.reserved, 0)), 0)
            ) as memory_ratio,
            coalesce(pivoted.used, pivoted.process_used) as memory_used_gb,
            coalesce(pivoted.power, pivoted.power_now) as power_watts,
            pivoted.xid, entities.holding_id, entities.process, pivoted.process_sm as process_sm_ratio, pivoted.file_row
        from pivoted
        inner join gpu_entities as entities using (entity_id)
        -- of a process only its own share of the time counts: its row must not be taken for the device's
        where entities.process is null or pivoted.process_sm is not null
        """
    )
    return "select * from gpu_rows"
