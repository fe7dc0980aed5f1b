"""Keep and bring back the state of a workspace: the warehouse file and what is published, checked by content."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tollbook import __version__
from tollbook.errors import TollbookError
from tollbook.finance import freeze, periods
from tollbook.warehouse import lock, schema
from tollbook.workspace import Settings, Workspace

_PARTS = ("tollbook.yml", "config", "deliveries", "warehouse.duckdb", "closed", "statements", "published")
_MANIFEST = "backup.json"


def backup(workspace: Workspace, target: Path, tell: Callable[[str], None] = print) -> int:
    """Write rules, kept deliveries, warehouse, closed months and published marts to one tar file; return its size in bytes.

    A closed month that is not what it was closed with is told, and kept as it is.

    Raises:
        TollbookError: the target exists already.
    """
    if target.exists():
        raise TollbookError(f"{target} exists already; name another file or remove it.")
    with lock.writing(workspace, "tollbook backup"):
        if workspace.warehouse.exists():
            with workspace.connect() as db:
                db.execute("checkpoint")
                schema.ensure(db)
                for folder, content_hash in periods.kept(db):
                    try:
                        freeze.manifest_of(workspace.closed / folder, content_hash)
                    except TollbookError as error:
                        tell(f"the backup has a closed month that is not whole: {error}")
        files = {str(file.relative_to(workspace.root)): _hash(file) for part in _PARTS for file in _files(workspace.root / part)}
        partial = target.with_name(target.name + ".partial")
        with tempfile.TemporaryDirectory() as folder, tarfile.open(partial, "w") as archive:
            manifest = Path(folder) / _MANIFEST
            manifest.write_text(json.dumps({"tollbook": __version__, "files": files}))
            archive.add(manifest, _MANIFEST)
            for name in files:
                archive.add(workspace.root / name, name)
        partial.replace(target)
    return target.stat().st_size


def restore(workspace_root: Path, source: Path) -> None:
    """Bring a backup back to ``workspace_root``: all of it, or nothing where a file of it is not what was kept.

    Raises:
        TollbookError: the backup is no backup or is damaged; the workspace is as it was.
    """
    workspace_root.mkdir(parents=True, exist_ok=True)
    # what a workspace's settings are may come with the backup: its lock needs none
    with lock.writing(Workspace(workspace_root, Settings(currency="USD")), "tollbook restore"):
        _bring_back(workspace_root, source)


def _bring_back(workspace_root: Path, source: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix=".restore-", dir=workspace_root))
    try:
        try:
            with tarfile.open(source) as archive:
                archive.extractall(fresh, filter="data")
            manifest = json.loads((fresh / _MANIFEST).read_text())
        except (tarfile.TarError, OSError, ValueError) as error:
            raise TollbookError(f"{source} is no backup of Tollbook, or is damaged: {error}. Nothing was changed.") from error
        damaged = [name for name, digest in manifest["files"].items() if not (fresh / name).is_file() or _hash(fresh / name) != digest]
        if damaged:
            raise TollbookError(f"{source} is damaged: {', '.join(damaged[:5])}. Nothing was changed.")
        old = fresh / ".old"
        old.mkdir()
        moved: list[tuple[Path, Path]] = []
        try:
            for part in _PARTS:
                for origin, target in ((workspace_root / part, old / part), (fresh / part, workspace_root / part)):
                    if origin.exists():
                        origin.rename(target)
                        moved.append((origin, target))
        except OSError as error:
            for origin, target in reversed(moved):
                target.rename(origin)
            raise TollbookError(f"{error}. Nothing was changed.") from error
        (workspace_root / "warehouse.duckdb.wal").unlink(missing_ok=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
