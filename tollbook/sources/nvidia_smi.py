"""What ``nvidia-smi`` prints, as points of series: its table with MIG devices, ``-L``, and the logs of ``pmon`` and ``dmon``.

Also a capture of several of its commands in one file (nvidia_gpu_exporter's ``collect.sh``). Source: ``nvidia-smi -h``.

- The table's own line says the moment, else ``collected_at`` of a capture, the option ``scraped_at`` or the path; the clock is
  taken for UTC. Lines of pmon and dmon count where they have a time of their own (``-o DT``).
- ``-L`` gives indexes their UUIDs and MIG devices their profiles; without it the GPU is known by its index. The column SM of the
  table of MIG devices is how many they have, not how busy they are: nvidia-smi has no utilisation of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import fsspec

from tollbook.errors import DeliveryError
from tollbook.sources import files, prometheus
from tollbook.workspace import Source

_SIGN = re.compile(
    r"(?m)^\| NVIDIA-SMI \d|^# nvidia_gpu_exporter GPU capture|^#\s*(Date\s+Time\s+)?gpu\s+(pid|pwr)\b|^GPU \d+: .*\(UUID: GPU-"
)
_GPU = re.compile(r"GPU (\d+): (.*?) \(UUID: (GPU-[^)]+)\)")
_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)")
_STAMP = re.compile(r"(?:Timestamp\s*: )?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\w{3} +\d+ [\d:]+ \d{4})\s*$")
_COLLECTED = re.compile(r"collected_at:\s*(\S+)")
_NAME_ROW = re.compile(r"\|\s+(\d+)\s+(\S.*?)\s+(?:On|Off|N/A|\S+)\s*\|\s*[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d")
_USE_ROW = re.compile(r"\|.*?(\d+|N/A)W? / +\S+ *\|\s*(\d+)MiB / +(\d+)MiB \|\s*(?:(\d+)%|N/A)")
_MIG_ROW = re.compile(r"\|\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+\|\s*(\d+)MiB / +(\d+)MiB")
_BUSY, _USED, _TOTAL, _POWER = "dcgm_fi_dev_gpu_util", "dcgm_fi_dev_fb_used", "dcgm_fi_dev_fb_total", "dcgm_fi_dev_power_usage"
_PROCESS = "nvidia_smi_process_sm_ratio"


def is_one(file: Path) -> bool:
    """Whether the file is something nvidia-smi printed."""
    if files.kind(file) not in (".txt", ".log", ".out", ""):
        return False
    with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8", errors="replace") as opened:
        return bool(_SIGN.search(opened.read(65536)))


def open_points(db: duckdb.DuckDBPyConnection, file: Path, source: Source) -> None:
    """Make the relations of ``prometheus.open_points``.

    Raises:
        DeliveryError: the file has no GPU, or nobody says of what moment it is.
    """
    with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8", errors="replace") as opened:
        lines = opened.read().splitlines()
    gpus, instances = _listed(lines)
    series: dict[tuple, int] = {}
    points = []
    stated = None
    for number, at, metric, labels, value in _measured(lines):
        if at is None:
            stated = stated or prometheus.scraped_at(db, file, source)
            if stated is None:
                raise DeliveryError(
                    f"{file.name}: nothing says when nvidia-smi printed it: set options: {{scraped_at: 2026-07-14T09:00:00Z}}."
                )
        index = labels["gpu"]
        known = {"gpu": index, **gpus.get(index, {}), **labels, **instances.get((index, labels.get("place")), {})}
        key = (metric, tuple(sorted((name, text) for name, text in known.items() if name != "place")))
        points.append((series.setdefault(key, len(series) + 1), at or stated, value, number))
    if not points:
        raise DeliveryError(f"{file.name}: nvidia-smi printed no table and no log with times (-o DT) in it; nothing of it was loaded.")
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    db.execute("drop view if exists temp.delivery")
    db.execute(
        "create or replace temp table prometheus_series as select entry.series_id, '' as series, entry.metric, map(entry.names, entry.texts) as labels"
        " from (select unnest($1::struct(series_id bigint, metric varchar, names varchar[], texts varchar[])[]) as entry)",
        [
            [
                {"series_id": number, "metric": metric, "names": [name for name, _ in labels], "texts": [text for _, text in labels]}
                for (metric, labels), number in series.items()
            ]
        ],
    )
    db.execute(
        f"create or replace temp table prometheus_points as select entry.series_id, {prometheus.moment_of('entry.moment')} as moment, entry.value, entry.file_row"
        " from (select unnest($1::struct(series_id bigint, moment varchar, value double, file_row bigint)[]) as entry)",
        [[dict(zip(("series_id", "moment", "value", "file_row"), point, strict=True)) for point in points]],
    )
    db.execute("create temp view delivery as from prometheus_points")


def _listed(lines: list[str]) -> tuple[dict[str, dict], dict[tuple, dict]]:
    """The labels that ``-L`` and the table give GPUs by index, and MIG devices by GPU and device number."""
    gpus, instances, index = {}, {}, None
    for line in lines:
        if found := _GPU.match(line):
            index = found.group(1)
            gpus[index] = {"name": found.group(2), "uuid": found.group(3)}
        elif index and (found := _MIG.match(line)):
            instances[index, found.group(2)] = {"gpu_i_profile": found.group(1), "mig_uuid": found.group(3)}
        elif found := _NAME_ROW.match(line):
            gpus.setdefault(found.group(1), {"name": found.group(2)})
    return gpus, instances


def _measured(lines: list[str]) -> Iterator[tuple[int, str | None, str, dict, float | None]]:
    """Line number, moment (None: not said), metric, labels and value of all that the lines measure."""
    at, index, columns = None, None, []
    for number, (before, line) in enumerate(pairwise(["", *lines]), start=1):
        if found := _COLLECTED.match(line):
            at = found.group(1)
        elif found := _STAMP.match(line):
            at = datetime.strptime(" ".join(found.group(1).split()), "%b %d %H:%M:%S %Y").isoformat(sep=" ")
        elif found := _NAME_ROW.match(line):
            index = found.group(1)
        elif index is not None and _NAME_ROW.match(before) and (found := _USE_ROW.match(line)):
            power, used, total, busy = found.groups()
            for metric, value in ((_POWER, power), (_USED, used), (_TOTAL, total), (_BUSY, busy)):
                yield number, at, metric, {"gpu": index}, _number(value)
        elif found := _MIG_ROW.match(line):
            gpu, gi, ci, place, used, total = found.groups()
            labels = {"gpu": gpu, "gpu_i_id": gi, "gpu_ci_id": ci, "place": place}
            yield number, at, _USED, labels, float(used)
            yield number, at, _TOTAL, labels, float(total)
        elif line.startswith("#"):
            names = line.lstrip("#").lower().split()
            columns = names if "gpu" in names and {"date", "time"} <= set(names) else columns if names[:1] != ["gpu"] else []
        elif columns and len(cells := line.split(None, len(columns) - 1)) == len(columns):
            yield from _logged(number, dict(zip(columns, cells, strict=True)))


def _logged(number: int, cells: dict[str, str]) -> Iterator[tuple[int, str | None, str, dict, float | None]]:
    """What one line of a log of pmon or dmon measures."""
    day = re.sub(r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3", cells["date"])
    at = f"{day} {cells['time']}"
    if "pid" not in cells:
        yield number, at, _BUSY, {"gpu": cells["gpu"]}, _number(cells.get("sm"))
        yield number, at, _POWER, {"gpu": cells["gpu"]}, _number(cells.get("pwr"))
    elif cells["pid"].isdecimal() and (busy := _number(cells.get("sm"))) is not None:
        labels = {"gpu": cells["gpu"], "pid": cells["pid"], "process_name": cells.get("command", cells.get("name", "")).strip()}
        yield number, at, _PROCESS, labels, busy / 100


def _number(cell: str | None) -> float | None:
    return float(cell) if cell and re.fullmatch(r"\d+(\.\d+)?", cell) else None
