"""OpenCost's and Kubecost's allocations as canonical ``resource_usage``: CPU and memory that a container used in a window.

The same files as for ``opencost_allocation``, and the same ``holding_id``; what they look like is told in ``opencost``. Use is the
average over the allocation times its length; an average that is absent stays NULL, never 0. GB of 1024 MB.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import opencost
from tollbook.sources.opencost import number
from tollbook.workspace import Source


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``resource_usage`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options()
    opencost.open_allocations(db, file)
    return f"""
select
    started_at, ended_at, node, holding_id,
    {number("cpuCoreUsageAverage")}::double * microseconds / 1000000 as cpu_seconds,
    {number("ramByteUsageAverage")}::double / 1073741824 * microseconds / 1000000 as memory_gb_seconds,
    file_row
from delivery
where nobody is null and pod is not null
"""
