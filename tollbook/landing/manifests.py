"""Manifests: the exporter's own list of what belongs to a delivery, which says when it is whole.

Each kind is a row of ``KINDS``: where in the JSON the parts, the period and the time stand. Sources: AWS "Data Exports user
guide: Understanding export delivery" (the manifest is written after all data files; a CUR 2.0 or FOCUS export names its
period only in the path) and "Understanding your report versions" (legacy CUR: ``assemblyId`` is no time), Microsoft
"Cost Management exports" (``manifest.json`` of a partitioned export, sizes and rows of each blob).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from tollbook.errors import DeliveryError

_LONGEST_PERIOD = timedelta(days=31)


@dataclass(frozen=True)
class Kind:
    """Where a kind of manifest says what: dotted keys into its JSON, first that is there.

    ``path``, ``bytes``, ``rows``, ``sha256`` are keys of one part (``path`` is empty where a part is just its path).
    ``period`` is a regular expression on the manifest's own path, for kinds that do not state it inside; ``home`` is the
    tail of that path below the export's own folder.
    """

    parts: str
    path: str = ""
    bytes: str = ""
    rows: str = ""
    sha256: str = ""
    name: tuple[str, ...] = ()
    partition: str = ""
    start: str = ""
    end: str = ""
    period: str = ""
    version: str = ""
    home: str = ""
    beside: bool = False


KINDS = {
    "aws_cur": Kind(
        parts="reportKeys",
        name=("reportName",),
        start="billingPeriod.start",
        # the end is the first of the next month
        home=r"/\d{8}-\d{8}/.*$",
    ),
    "aws_data_export": Kind(
        parts="dataFiles",
        name=("exportName",),
        period=r"(?i)billing_period=(\d{4}-\d{2})",
        version="executionId",
        home=r"/metadata/.*$",
    ),
    "azure_export": Kind(
        parts="blobs",
        path="blobName",
        bytes="byteCount",
        rows="dataRowCount",
        name=("exportConfig.resourceId", "exportConfig.exportName"),
        start="runInfo.startDate",
        end="runInfo.endDate",
        version="runInfo.submittedTime",
        home=r"/\d{8}-\d{8}/.*$",
    ),
    # for any other exporter; its paths are relative to the manifest's folder
    "listed": Kind(
        parts="files", path="path", bytes="bytes", rows="rows", sha256="sha256", partition="partition", version="version", beside=True
    ),
}


@dataclass(frozen=True)
class Part:
    """One file that a manifest lists; what it does not state is None."""

    path: str
    bytes: int | None = None
    rows: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Manifest:
    """What one manifest says: which partition, which version of it, and the parts; ``home`` is its export's folder."""

    partition: str
    version: str
    parts: tuple[Part, ...]
    home: str | None


def read(kind_name: str, content: bytes, place: str, modified_at: datetime) -> Manifest:
    """Read the manifest at ``place`` (path or URL), last changed at ``modified_at``.

    Raises:
        DeliveryError: it is no JSON, or lacks what this kind of manifest has.
    """
    kind = KINDS[kind_name]
    try:
        said = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise DeliveryError(f"{place} is no JSON; it may be cut off: {error}. Deliver it again; what was loaded before stays.") from error
    if not isinstance(said, dict):
        raise DeliveryError(f"{place} is no manifest of kind {kind_name}: it is no JSON object. Mend `path` or `manifest` of the source.")
    listed = _at(said, kind.parts)
    if not isinstance(listed, list) or not listed:
        raise DeliveryError(f"{place} lists no files under {kind.parts!r}: it is no manifest of kind {kind_name}, or the export is empty.")
    parts = tuple(_part(kind, one, place) for one in listed)
    twice = [path for path, count in Counter(part.path for part in parts).items() if count > 1]
    if twice:
        raise DeliveryError(f"{place} lists {', '.join(twice[:3])} twice: its rows would count twice")
    return Manifest(
        partition=_partition(kind, kind_name, said, place),
        version=_version(kind, said, modified_at),
        parts=parts,
        home=re.sub(kind.home, "", place) if kind.home and re.search(kind.home, place) else None,
    )


def key_of(path: str) -> str:
    """The key of a listed path in its bucket: a URL without protocol and bucket, a path without its leading slash."""
    return path.split("://", 1)[1].partition("/")[2] if "://" in path else path.lstrip("/")


def _part(kind: Kind, one: Any, place: str) -> Part:
    path = _at(one, kind.path) if kind.path else one
    if not isinstance(path, str) or not key_of(path) or path.endswith("/"):
        raise DeliveryError(f"{place}: a listed file has no path: {one!r}")
    if ".." in PurePosixPath(path).parts:
        raise DeliveryError(f"{place} lists {path}: a path must not lead up with '..'")
    return Part(path, _count(kind.bytes, one, place), _count(kind.rows, one, place), _digest(kind.sha256, one))


def _count(key: str, one: Any, place: str) -> int | None:
    value = _at(one, key) if key else None
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DeliveryError(f"{place}: {key} is {value!r}, which is no whole number") from error


def _digest(key: str, one: Any) -> str | None:
    value = _at(one, key) if key else None
    return str(value).lower() if value else None


def _partition(kind: Kind, kind_name: str, said: dict, place: str) -> str:
    if kind.partition:
        value = _at(said, kind.partition)
        if value in (None, ""):
            raise DeliveryError(f"{place} has no {kind.partition!r}: it must say which deliveries replace each other")
        return str(value)
    name = next((value for key in kind.name if (value := _at(said, key))), None) or _name(place)
    return f"{str(name).strip('/')}/{_period(kind, kind_name, said, place)}"


def _name(place: str) -> str:
    return re.sub(r"(?i)-?manifest\.json$", "", PurePosixPath(place).name) or "export"


def _period(kind: Kind, kind_name: str, said: dict, place: str) -> str:
    if kind.period:
        match = re.search(kind.period, place)
        if not match:
            raise DeliveryError(f"{place}: the path of a manifest of kind {kind_name} must say its period, as in BILLING_PERIOD=2026-09")
        return match.group(1)
    # a date with an offset is the vendor's own day
    start = _time(_at(said, kind.start), zoned=False)
    if start is None:
        raise DeliveryError(f"{place}: {kind.start} is {_at(said, kind.start)!r}, which is no date; is it a manifest of kind {kind_name}?")
    # one day's run replaces the day before's, so the end counts only where it reaches past any billing month
    label = f"{start:%Y-%m}" if start.day == 1 else f"{start:%Y-%m-%d}"
    end = _time(_at(said, kind.end), zoned=False) if kind.end else None
    return f"{label}..{end:%Y-%m-%d}" if end and end - start > _LONGEST_PERIOD else label


def _version(kind: Kind, said: dict, modified_at: datetime) -> str:
    """What orders the deliveries of a partition: the manifest's time, else when it was written (UTC)."""
    value = _at(said, kind.version) if kind.version else None
    if kind.partition and value not in (None, ""):
        return str(value)
    # an id that only looks like a date has no time
    moment = _time(value) if re.search(r"\d[T ]\d\d:?\d\d", str(value)) else None
    return f"{moment or modified_at:%Y-%m-%dT%H:%M:%S.%f}"


def _time(value: Any, zoned: bool = True) -> datetime | None:
    """A moment, naive, in UTC where ``zoned``, from how vendors write it: 20260901T000000.000Z, 2026-09-01T00:00:00.1234567Z-<id>; or None."""
    match = re.match(
        r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2}):?(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:?\d{2}(?!\d))?", str(value or "").strip()
    )
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        text = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}.{(fraction or '0')[:6]:0<6}"
        moment = datetime.fromisoformat(text + (zone or "Z" if zoned else "Z"))
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None)


def _at(said: Any, keys: str) -> Any:
    for key in keys.split("."):
        said = said.get(key) if isinstance(said, dict) else None
    return said
