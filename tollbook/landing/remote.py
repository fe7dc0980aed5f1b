"""Where delivered files lie: a folder of this machine, or object storage through fsspec.

Both list places (a file, or a folder of parts), look a file up, and hand over its content as a local file. Object storage is
asked again only for what changed: size and ETag (else the time) of each fetched object are remembered beside the archive.
Credentials come from the environment and the provider's own chain, never from ``tollbook.yml``.
"""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import zstandard

from tollbook.errors import ConfigError, DeliveryError
from tollbook.landing.manifests import key_of
from tollbook.landing.memory import Memory
from tollbook.sources import files
from tollbook.workspace import Source, Workspace, protocol_of

# Half-copied or hidden files are not deliveries yet.
_NOT_YET = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")
_CONNECTIONS = 8
INCOMING = ".incoming"


@dataclass(frozen=True)
class Found:
    """One file where it lies: ``name`` is shown (path in the workspace, or URL), ``tag`` changes with its content."""

    name: str
    path: str
    bytes: int
    modified_at: datetime
    tag: str = ""


@dataclass(frozen=True)
class Place:
    """What one match of the source's path is: a file, or a folder with its parts."""

    name: str
    files: tuple[Found, ...]


def content_digest(file: Path) -> str:
    """The SHA-256 of what is in the file, compression put aside: a bill is the same bill packed or not. Of the file where it is damaged."""
    try:
        with fsspec.open(str(file), "rb", compression="infer") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError):
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()


class Folder:
    """Deliveries in a folder of this machine."""

    def __init__(self, workspace: Workspace, source: Source):
        self.workspace, self.source = workspace, source
        path = Path(source.path.removeprefix("file://")).expanduser()
        self._parts = (path if path.is_absolute() else workspace.root / path).parts

    def places(self) -> list[Place]:
        """What matches the path now.

        Raises:
            DeliveryError: the landing folder is missing.
        """
        fixed = next((i for i, part in enumerate(self._parts) if any(sign in part for sign in "*?[")), len(self._parts))
        root = Path(*self._parts[:fixed])
        if not root.exists():
            raise DeliveryError(
                f"{self.source.name}: landing folder {root} does not exist."
                f" Create it, or mend `path` of the source in tollbook.yml ({self.source.path})."
            )
        matches = sorted(root.glob(str(Path(*self._parts[fixed:])))) if fixed < len(self._parts) else [root]
        return [Place(self._name(match), tuple(self._found(file) for file in self._within(match))) for match in matches]

    def look(self, paths: list[str]) -> list[Found | None]:
        """The file at each path, or None."""
        return [self._found(Path(path)) if Path(path).is_file() else None for path in paths]

    def locate(self, manifest: Found, parts: list[str], beside: bool) -> list[str]:
        """The paths of a manifest's parts: keys of a bucket, of which this may be a copy from any folder on."""
        here = Path(manifest.path).parent
        if beside and not any("://" in part or part.startswith("/") for part in parts):
            return [str(here / part) for part in parts]
        keys = [PurePosixPath(key_of(part)).parts for part in parts]
        shallowest = min(len(key) for key in keys)
        # one choice for all parts, so that an old copy elsewhere never stands in for a missing part
        for skipped in range(shallowest - 1):
            for above in (here, *here.parents):
                if any(above.joinpath(*key[skipped:]).is_file() for key in keys):
                    return [str(above.joinpath(*key[skipped:])) for key in keys]
        # none is there; say where they would be
        for skipped, folder in enumerate(keys[0][:-1]):
            if folder in here.parts:
                above = Path(*here.parts[: here.parts.index(folder)])
                return [str(above.joinpath(*key[skipped:])) for key in keys]
        return [str(here / key[-1]) for key in keys]

    def start(self, wanted: Iterable[Found]) -> None:
        """Nothing has to be fetched."""

    def get(self, found: Found) -> tuple[Path, str]:
        """The file and the SHA-256 of its content."""
        return Path(found.path), content_digest(Path(found.path))

    def remember(self, found: Found, digest: str, kept: Path) -> None:
        """Nothing is remembered: the content of a local file is read each time."""

    def close(self, everything: bool) -> None:
        """Nothing is open."""

    def _within(self, match: Path) -> list[Path]:
        if not match.is_dir():
            return [] if _is_unfinished(match.name) else [match]
        below = sorted(file for file in match.rglob("*") if file.is_file() and files.kind(file) in files.SUFFIXES)
        return [file for file in below if not any(_is_unfinished(part) for part in file.relative_to(match).parts)]

    def _found(self, file: Path) -> Found:
        state = file.stat()
        return Found(self._name(file), str(file), state.st_size, datetime.fromtimestamp(state.st_mtime, UTC).replace(tzinfo=None))

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self.workspace.root)) if file.is_relative_to(self.workspace.root) else str(file)


class Bucket:
    """Deliveries in object storage."""

    def __init__(self, workspace: Workspace, source: Source, memory: Memory):
        self.source, self.memory = source, memory
        self.archive = workspace.deliveries / source.name
        self.incoming = self.archive / INCOMING
        self._pool = ThreadPoolExecutor(_CONNECTIONS)
        self._running: dict[str, Future] = {}
        protocol = protocol_of(source.path)
        try:
            self.fs = fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True, **source.storage_options)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"{source.name}: {protocol}:// in `path` cannot be opened: {error}. Install the package that fsspec names for it"
                " (gcsfs for gs, adlfs for abfs), or mend `path`."
            ) from error
        except TypeError as error:
            raise ConfigError(f"{source.name}: `storage_options` do not fit {protocol}://: {error}") from error

    def places(self) -> list[Place]:
        """What matches the path now.

        Raises:
            DeliveryError: the storage cannot be listed.
        """
        matches = self._ask(f"listing {self.source.path}", lambda: self.fs.glob(self.source.path, detail=True))
        places = []
        for path, info in sorted(matches.items()):
            if info["type"] == "directory":
                below = self._ask(f"listing {path}", lambda path=path: self.fs.find(path, detail=True))
                infos = [below[file] for file in sorted(below) if files.kind(Path(file)) in files.SUFFIXES]
            else:
                infos = [info]
            start = len(str(path).rstrip("/")) if info["type"] == "directory" else str(path).rfind("/")
            whole = [one for one in infos if not any(_is_unfinished(part) for part in one["name"][start:].strip("/").split("/"))]
            places.append(Place(self.fs.unstrip_protocol(path), tuple(self._found(one) for one in whole if not one["name"].endswith("/"))))
        return places

    def look(self, paths: list[str]) -> list[Found | None]:
        """The object at each path, or None.

        Raises:
            DeliveryError: the storage cannot be asked.
        """
        return list(self._pool.map(self._look, paths))

    def locate(self, manifest: Found, parts: list[str], beside: bool) -> list[str]:
        """The paths of a manifest's parts: keys of its own bucket (a listed URL's bucket may be the one it was copied from)."""
        above = PurePosixPath(manifest.path)
        bucket = PurePosixPath(*above.parts[: 2 if above.is_absolute() else 1])
        return [
            str(above.parent / part if beside and "://" not in part and not part.startswith("/") else bucket / key_of(part))
            for part in parts
        ]

    def start(self, wanted: Iterable[Found]) -> None:
        """Begin to fetch what is not in the archive, several at once."""
        for found in wanted:
            if found.path not in self._running and self._kept(found) is None:
                self._running[found.path] = self._pool.submit(self._fetch, found)

    def get(self, found: Found) -> tuple[Path, str]:
        """The object as a local file, and its SHA-256; not fetched where the archive has it.

        Raises:
            DeliveryError: it could not be fetched whole.
        """
        kept = self._kept(found)
        if kept is None:
            self.start([found])
            return self._running[found.path].result()
        return kept

    def remember(self, found: Found, digest: str, kept: Path) -> None:
        """Note that ``kept`` in the archive is the object's content."""
        if found.tag:
            self.memory.put(found.name, {"tag": found.tag, "sha256": digest, "file": str(kept.relative_to(self.archive))})

    def close(self, everything: bool) -> None:
        """Stop what still runs; what was fetched for a delivery that is not whole waits for it, unless ``everything`` is."""
        self._pool.shutdown(cancel_futures=True)
        if everything:
            shutil.rmtree(self.incoming, ignore_errors=True)

    def _kept(self, found: Found) -> tuple[Path, str] | None:
        fact = self.memory.get(found.name)
        if not found.tag or not fact or fact["tag"] != found.tag:
            return None
        file = self.archive / fact["file"]
        return (file, fact["sha256"]) if file.is_file() and file.stat().st_size == found.bytes else None

    def _look(self, path: str) -> Found | None:
        try:
            info = self._ask(f"looking up {path}", lambda: self.fs.info(path))
        except DeliveryError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return self._found(info) if info["type"] == "file" else None

    def _fetch(self, found: Found) -> tuple[Path, str]:
        target = self.incoming / hashlib.sha256(f"{found.path} {found.tag}".encode()).hexdigest()[:16] / PurePosixPath(found.path).name
        if not (found.tag and target.exists()):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".partial")
            self._ask(f"fetching {found.name}", lambda: self.fs.get_file(found.path, str(partial)))
            now = self._look(found.path)
            if now is None or now.tag != found.tag or partial.stat().st_size != found.bytes:
                raise DeliveryError(f"{found.name} changed while it was fetched, so it was left out. The next load fetches it again.")
            partial.replace(target)
        return target, content_digest(target)

    def _found(self, info: dict[str, Any]) -> Found:
        size = int(info.get("size") or 0)
        etag = next((info[key] for key in ("ETag", "etag", "md5Hash", "content_md5") if info.get(key)), None)
        times = (info.get(key) for key in ("LastModified", "last_modified", "updated", "mtime", "created"))
        modified_at = next((moment for value in times if (moment := _moment(value))), None)
        tag = f"{size} {str(etag).strip(chr(34)) if etag else modified_at}" if etag or modified_at else ""
        name = self.fs.unstrip_protocol(info["name"])
        return Found(name, info["name"], size, modified_at or datetime.now(UTC).replace(tzinfo=None), tag)

    def _ask(self, doing: str, question):
        try:
            return question()
        except DeliveryError:
            raise
        # every provider's driver has errors of its own, and none may end the load of the other sources
        except Exception as error:
            raise DeliveryError(
                f"{self.source.name}: {doing} failed: {type(error).__name__}: {str(error).strip()[:300]}. {_way_out(error)}"
                " What was loaded stays; the next load tries again."
            ) from error


def opened(workspace: Workspace, source: Source, memory: Memory) -> Folder | Bucket:
    """Where the source's deliveries lie; close it after use."""
    return Folder(workspace, source) if protocol_of(source.path) == "file" else Bucket(workspace, source, memory)


def _way_out(error: Exception) -> str:
    name = type(error).__name__.casefold()
    if "credential" in name or "token" in name or "auth" in name:
        return (
            "Give credentials in the environment or the provider's own chain (AWS_ACCESS_KEY_ID/AWS_PROFILE or the machine's role,"
            " GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_*)."
        )
    if isinstance(error, PermissionError):
        return "The credentials found may not read this: allow listing the bucket and reading its objects."
    if isinstance(error, FileNotFoundError):
        return "Check bucket and prefix in `path`."
    return "Check network, `endpoint_url` and bucket."


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, int | float):
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _is_unfinished(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith(_NOT_YET)
