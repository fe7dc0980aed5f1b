"""Find deliveries: one file, or one folder of parts, known by the content it has."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import files
from tollbook.workspace import Source, Workspace

# Half-copied or hidden files are not deliveries yet.
_NOT_YET = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Delivery:
    """One version of one partition of a source.

    ``names`` are the files' paths in the landing folder, ``files`` where their content is kept. ``version`` orders
    deliveries of a partition where the path says it; ``arrived_at`` orders the rest.
    """

    source: Source
    partition_key: str
    version: str
    delivery_id: str
    names: tuple[str, ...]
    files: tuple[Path, ...]
    bytes: int
    arrived_at: datetime


def find(workspace: Workspace, source: Source) -> list[Delivery]:
    """The deliveries now in the landing folder for ``source``, in the order in which they replace each other.

    Raises:
        DeliveryError: the landing folder is missing, or nothing in it matches the source's path.
        ConfigError: ``partition`` is no regular expression, or does not match a path.
    """
    root, pattern = _anchor(workspace, source)
    if not root.is_dir() and not root.is_file():
        raise DeliveryError(
            f"{source.name}: landing folder {root} does not exist. Create it, or mend `path` of the source in tollbook.yml ({source.path})."
        )
    places = [root] if not pattern else sorted(root.glob(pattern))
    found = [delivery for place in places if (delivery := _read(workspace, source, place)) is not None]
    if not found:
        raise DeliveryError(f"{source.name}: no file matches {source.path}. Nothing was loaded; what was loaded stays.")
    return sorted(found, key=lambda delivery: (delivery.partition_key, delivery.version, delivery.arrived_at, delivery.names))


def keep(workspace: Workspace, delivery: Delivery) -> Delivery:
    """Copy the delivery's files to where they stay, by content; return it with ``files`` pointing there."""
    home = workspace.deliveries / delivery.source.name / delivery.delivery_id
    kept = []
    for number, file in enumerate(delivery.files):
        target = home / f"{number:04d}" / file.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".partial")
            shutil.copyfile(file, partial)
            partial.replace(target)
        kept.append(target)
    return Delivery(**{**delivery.__dict__, "files": tuple(kept)})


def _anchor(workspace: Workspace, source: Source) -> tuple[Path, str]:
    """The longest folder of the path without a wildcard, and the glob below it."""
    path = Path(source.path).expanduser()
    parts = (path if path.is_absolute() else workspace.root / path).parts
    fixed = next((i for i, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    return Path(*parts[:fixed]), str(Path(*parts[fixed:])) if fixed < len(parts) else ""


def _read(workspace: Workspace, source: Source, place: Path) -> Delivery | None:
    parts = sorted(_files(place)) if place.is_dir() else [place]
    parts = [file for file in parts if not _is_unfinished(file)]
    if not parts:
        return None
    names = tuple(_relative(workspace, file) for file in parts)
    digest = hashlib.sha256()
    for file in parts:
        with file.open("rb") as content:
            one = hashlib.file_digest(content, "sha256")
        digest.update(one.digest())
    key, version = _partition(source, _relative(workspace, place))
    return Delivery(
        source=source,
        partition_key=key,
        version=version,
        delivery_id=digest.hexdigest()[:16],
        names=names,
        files=tuple(parts),
        bytes=sum(file.stat().st_size for file in parts),
        arrived_at=datetime.fromtimestamp(max(file.stat().st_mtime for file in parts), UTC).replace(tzinfo=None),
    )


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and files.kind(file) in files.SUFFIXES)


def _is_unfinished(file: Path) -> bool:
    return file.name.startswith((".", "_")) or file.name.endswith(_NOT_YET)


def _relative(workspace: Workspace, file: Path) -> str:
    return str(file.relative_to(workspace.root)) if file.is_relative_to(workspace.root) else str(file)


def _partition(source: Source, path: str) -> tuple[str, str]:
    if source.partition is None:
        return path, ""
    try:
        match = re.search(source.partition, path)
    except re.error as error:
        raise ConfigError(f"{source.name}: `partition` is no regular expression: {error}") from error
    if match is None:
        raise ConfigError(f"{source.name}: `partition` {source.partition!r} does not match {path}")
    groups = match.groupdict()
    return groups.get("partition") or match.group(0), groups.get("version") or ""
