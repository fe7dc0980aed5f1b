"""OpenCost's and Kubecost's allocations as canonical ``holdings``: what a container held on its node in a window.

What the files look like is told in ``opencost``.

- The same container in successive windows is one ``holding_id`` with successive intervals; ``job_id`` is its pod.
- CPUs and memory are what was requested; the larger of request and use (``cpuCores``, ``ramBytes``) only where no request is told.
  GB of 1024 MB.
- OpenCost charges a shared GPU whole to each of its holders. ``gpuRequestAverage`` counts replicas of the device plugin where
  ``isGPUShared``: with the option ``gpu_replicas`` (into how many a GPU is cut, or one number a model) each holds its part.
  Fractions of a GPU are one GPU with a share.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources import opencost
from tollbook.sources.opencost import number
from tollbook.sources.records import field, json_labels
from tollbook.sources.typing import text
from tollbook.workspace import Source

_SELECT = """
select
    holding_id, namespace || '/' || pod as job_id, 'pod' as holder_kind, pod as name, coalesce(cluster, {cluster}) as cluster, node, namespace,
    case when gpus > 0 and ceil(gpus) = 1 then {gpu_id} end as gpu_ids,
    ceil(gpus) as gpu_count,
    case when gpus > 0 then round(gpus / ceil(gpus), 6) end as gpu_share,
    case when gpus > 0 then {gpu_model} end as gpu_model,
    case when gpus > 0 and is_shared then 'time_slicing' end as gpu_sharing,
    cpus as cpu_count, memory_bytes / 1073741824 as memory_gb, started_at, ended_at, labels, file_row
from (
    select
        *,
        coalesce({cpu_request}, {cpu_held}, {cpu_hours} * 3600000000 / nullif(microseconds, 0)) as cpus,
        coalesce({ram_request}, {ram_held}, {ram_hours} * 3600000000 / nullif(microseconds, 0)) as memory_bytes,
        -- the API rounds to five digits: hours over the time give 0.99999 of a GPU
        round(case
            when is_shared and {gpu_request} > 0 then {gpu_request} / {replicas}
            else coalesce({gpu_held}, {gpu_hours} * 3600000000 / nullif(microseconds, 0), {gpu_request})
        end, 4) as gpus,
        {labels} as labels
    from (select *, {shared} in ('true', '1') as is_shared from delivery where nobody is null and pod is not null)
)
"""

#: What the API says of each resource: asked for on average, held on average, held in hours.
_AMOUNTS = {
    "gpu_request": ("gpuAllocation.gpuRequestAverage", "gpuRequestAverage"),
    "gpu_held": ("gpuCount",),
    "gpu_hours": ("gpuHours",),
    "cpu_request": ("cpuCoreRequestAverage",),
    "cpu_held": ("cpuCores",),
    "cpu_hours": ("cpuCoreHours",),
    "ram_request": ("ramByteRequestAverage",),
    "ram_held": ("ramBytes",),
    "ram_hours": ("ramByteHours",),
}


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``holdings`` columns and ``file_row`` (the allocation's number).

    Raises:
        ConfigError: an option that is not known or makes no sense.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("gpu_replicas")
    opencost.open_allocations(db, file)
    gpu_model = field("a", "gpuAllocation.gpuModel", "gpuModel")
    own = json_labels(
        controller=field("a", "properties.controller", "controller"),
        controller_kind=field("a", "properties.controllerKind", "controllerKind"),
        container="container",
        provider_id=field("a", "properties.providerID", "providerID"),
    )
    return _SELECT.format(
        cluster=text(source.cluster) if source.cluster else "null",
        gpu_id=field("a", "gpuAllocation.gpuUUID", "gpuUUID"),
        gpu_model=gpu_model,
        shared=f"lower({field('a', 'gpuAllocation.isGPUShared', 'isGPUShared')})",
        **{name: number(*paths) for name, paths in _AMOUNTS.items()},
        replicas=_replicas(source, gpu_model),
        labels=f"nullif(json_merge_patch(coalesce({own}, '{{}}')::json, coalesce(given_labels, '{{}}'::json))::varchar, '{{}}')",
    )


def _replicas(source: Source, gpu_model: str) -> str:
    """The SQL of how many holders a shared GPU is cut for."""
    given = source.option("gpu_replicas", 1)
    by_model = given if isinstance(given, dict) else {}
    for replicas in by_model.values() if by_model else [given]:
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 1:
            raise ConfigError(
                f"{source.name}: option gpu_replicas is {given!r}; it must be a whole number from 1, or one for each GPU model."
            )
    if not by_model:
        return str(given)
    whens = " ".join(f"when {text(str(model).casefold())} then {replicas}" for model, replicas in by_model.items())
    return f"case lower({gpu_model}) {whens} else 1 end"
