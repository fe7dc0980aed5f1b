"""Find deliveries: one file, one folder of parts, or what a manifest lists; known by the content they have."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import fsspec

from tollbook.errors import ConfigError, DeliveryError
from tollbook.landing import manifests, remote
from tollbook.landing.manifests import Manifest, Part
from tollbook.landing.memory import Memory
from tollbook.landing.remote import Found, Place
from tollbook.workspace import Source, Workspace

_NAMED = 5
_COMPRESSED = (".gz", ".zst")
# what a manifest is called, where the path gives a whole folder
_MANIFEST = re.compile(r"(?i)manifest[^/]*\.json$")


@dataclass(frozen=True)
class Delivery:
    """One version of one partition of a source.

    ``names`` are the files' paths in the landing folder or URLs, ``files`` where their content is kept, ``rows`` how many
    each must have (None where nobody says). ``version`` orders deliveries of a partition where the path or manifest says it;
    ``arrived_at`` orders the rest. ``manifest`` is the fingerprint of the manifest that made it complete. A ``fault`` says why
    it cannot be loaded now.
    """

    source: Source
    partition_key: str
    version: str
    delivery_id: str
    names: tuple[str, ...]
    files: tuple[Path, ...]
    bytes: int
    arrived_at: datetime
    rows: tuple[int | None, ...] = ()
    manifest: str = ""
    fault: str = ""

    @property
    def order(self) -> tuple:
        """What is larger for what replaces: the same for any order of arrival."""
        return natural(self.version), self.arrived_at, self.delivery_id


def natural(version: str) -> tuple[tuple[bool, int, str], ...]:
    """A version as what sorts: numbers in it by value, so that 10 comes after 9."""
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", version) if part)


def find(workspace: Workspace, source: Source) -> list[Delivery]:
    """The deliveries that lie there now for ``source``, in the order in which they replace each other; of one partition and
    content only the newest. Changed objects of a storage are fetched into the archive.

    Raises:
        DeliveryError: the folder is missing, the storage cannot be listed, or nothing matches the source's path.
        ConfigError: ``partition`` is no regular expression, or does not match a path; two exports share one name.
    """
    memory = _memory(workspace, source)
    store = remote.opened(workspace, source, memory)
    everything = False
    try:
        places = [place for place in store.places() if place.files]
        if source.manifest:
            listed = [file for place in places for file in place.files if file.name == place.name or _MANIFEST.search(file.name)]
            found = _by_manifests(workspace, source, store, memory, listed)
        else:
            store.start(file for place in places for file in place.files)
            found = [_delivery(workspace, source, store, place) for place in places]
        everything = not any(delivery.fault for delivery in found)
    finally:
        store.close(everything)
    if not found:
        where = "" if isinstance(store, remote.Folder) else " Check bucket and prefix in `path`, and what the credentials may list."
        raise DeliveryError(f"{source.name}: no file matches {source.path}. Nothing was loaded; what was loaded stays.{where}")
    newest = {(one.partition_key, one.delivery_id): one for one in sorted(found, key=lambda one: (one.order, one.names))}
    return sorted(newest.values(), key=lambda one: (one.partition_key, one.order, one.names))


def keep(workspace: Workspace, delivery: Delivery) -> Delivery:
    """Bring the delivery's files to where they stay, by content; return it with ``files`` pointing there."""
    home = workspace.deliveries / delivery.source.name / delivery.delivery_id
    kept = []
    for number, file in enumerate(delivery.files):
        target = home / f"{number:04d}" / file.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".partial")
            if remote.INCOMING in file.parts:
                file.replace(partial)
            else:
                shutil.copyfile(file, partial)
            partial.replace(target)
        kept.append(target)
    return replace(delivery, files=tuple(kept))


def forget(workspace: Workspace, delivery: Delivery) -> None:
    """Read the delivery's manifest and look for its parts again at the next load: it could not be loaded."""
    if delivery.manifest:
        _memory(workspace, delivery.source).put(delivery.manifest, None)


def _memory(workspace: Workspace, source: Source) -> Memory:
    return Memory(workspace.deliveries / source.name / "fetched.jsonl")


def _delivery(workspace: Workspace, source: Source, store, place: Place) -> Delivery:
    key, version = _partition(source, place.name)
    return _complete(
        workspace, store, _blank(source, key, version, place.files, max(file.modified_at for file in place.files)), place.files
    )


def _blank(source: Source, key: str, version: str, files: tuple[Found, ...], arrived_at: datetime, manifest: str = "") -> Delivery:
    """A delivery whose content was not read yet, under the fingerprint of what is known of it."""
    known = hashlib.sha256(repr([manifest, [(file.name, file.bytes, file.tag) for file in files]]).encode()).hexdigest()
    names = tuple(file.name for file in files)
    return Delivery(source, key, version, known[:16], names, (), sum(file.bytes for file in files), arrived_at, manifest=manifest)


def _complete(workspace: Workspace, store, delivery: Delivery, files: tuple[Found, ...], stated: tuple[Part, ...] = ()) -> Delivery:
    """The delivery with its content; with a fault where that cannot be had, or is not what a manifest ``stated``."""
    try:
        contents = [store.get(file) for file in files]
        other = [file.name for file, content, part in zip(files, contents, stated, strict=False) if not _is_as_stated(content, part)]
    except DeliveryError as error:
        return replace(delivery, fault=str(error))
    except (OSError, EOFError) as error:
        return replace(delivery, fault=f"{_list(delivery.names)} cannot be read: {error}. The next load tries again.")
    if other:
        return replace(delivery, fault=f"the content of {_list(other)} is not what the manifest states (sha256, bytes).")
    fingerprint = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in contents))
    whole = replace(delivery, delivery_id=fingerprint.hexdigest()[:16], files=tuple(file for file, _ in contents))
    # the content of local files is kept when it is loaded; what was fetched, or may be gone with the next manifest, is kept now
    if isinstance(store, remote.Bucket) or stated:
        whole = keep(workspace, whole)
    for file, (_, digest), kept in zip(files, contents, whole.files, strict=True):
        store.remember(file, digest, kept)
    return whole


def _is_as_stated(content: tuple[Path, str], part: Part) -> bool:
    file, _ = content
    if part.sha256 is not None:
        with file.open("rb") as packed:
            if hashlib.file_digest(packed, "sha256").hexdigest() != part.sha256:
                return False
    if part.bytes in (None, file.stat().st_size):
        return True
    # some state the size before compression
    with fsspec.open(str(file), "rb", compression="infer") as plain:
        return part.bytes == sum(len(chunk) for chunk in iter(lambda: plain.read(1 << 20), b""))


def _by_manifests(workspace: Workspace, source: Source, store, memory: Memory, listed: list[Found]) -> list[Delivery]:
    found, homes = [], {}
    store.start(listed)
    for file in listed:
        delivery, home = _by_manifest(workspace, source, store, memory, file)
        other = homes.setdefault(delivery.partition_key, home)
        if home and other and home != other:
            raise ConfigError(
                f"{source.name}: two exports are called {delivery.partition_key}: one in {other}, one in {home}. They would replace each"
                " other: give each a source of its own, or tell them apart with `partition`."
            )
        found.append(delivery)
    return found


def _by_manifest(workspace: Workspace, source: Source, store, memory: Memory, file: Found) -> tuple[Delivery, str | None]:
    """The delivery that a manifest lists, and its export's folder. What was once complete is not looked at again: its parts
    may be gone by now, or be those of the next manifest.
    """
    try:
        content, digest = _keep_manifest(workspace, source, store, file)
        manifest = manifests.read(source.manifest, content, file.name, file.modified_at)
    except (DeliveryError, OSError) as error:
        return replace(_blank(source, file.name, "", (file,), file.modified_at), fault=str(error)), None
    key, version = _partition(source, file.name) if source.partition else (manifest.partition, manifest.version)
    # the same text in another export's folder lists other files
    fingerprint = f"manifest {key} {manifest.home or PurePosixPath(file.name).parent} {digest}"
    rows = tuple(part.rows for part in manifest.parts)
    listed = replace(_blank(source, key, version or manifest.version, (file,), file.modified_at, fingerprint), rows=rows)
    whole = _remembered(workspace, memory, listed)
    if whole is None:
        whole = _gather(workspace, store, listed, file, manifest)
        if whole.fault:
            said = f"{file.name}: the delivery is not complete: {whole.fault} Nothing of it was loaded; the next load looks again."
            return replace(whole, fault=said), manifest.home
        kept = {"id": whole.delivery_id, "version": whole.version, "names": whole.names, "bytes": whole.bytes}
        memory.put(fingerprint, kept | {"arrived_at": whole.arrived_at.isoformat()})
    return whole, manifest.home


def _remembered(workspace: Workspace, memory: Memory, listed: Delivery) -> Delivery | None:
    """The delivery as it was when it was complete, where the archive still has it."""
    known = memory.get(listed.manifest)
    if not known:
        return None
    home = workspace.deliveries / listed.source.name / known["id"]
    files = tuple(home / f"{number:04d}" / Path(name).name for number, name in enumerate(known["names"]))
    if not all(file.is_file() for file in files):
        return None
    return replace(
        listed,
        delivery_id=known["id"],
        version=known["version"],
        names=tuple(known["names"]),
        files=files,
        bytes=known["bytes"],
        arrived_at=datetime.fromisoformat(known["arrived_at"]),
    )


def _gather(workspace: Workspace, store, listed: Delivery, file: Found, manifest: Manifest) -> Delivery:
    """The delivery with all parts that its manifest lists, or with what is missing as its fault."""
    paths = store.locate(file, [part.path for part in manifest.parts], manifests.KINDS[listed.source.manifest].beside)
    try:
        parts = store.look(paths)
    except DeliveryError as error:
        return replace(listed, names=tuple(paths), fault=str(error))
    missing = _missing(manifest, paths, parts)
    if missing:
        return replace(listed, names=tuple(paths), fault=f"{missing}.")
    store.start(parts)
    found = replace(listed, names=tuple(part.name for part in parts), bytes=sum(part.bytes for part in parts))
    return _complete(workspace, store, found, tuple(parts), manifest.parts)


def _keep_manifest(workspace: Workspace, source: Source, store, file: Found) -> tuple[bytes, str]:
    """The manifest's content, kept in the archive too, and its SHA-256."""
    place, digest = store.get(file)
    content = place.read_bytes()
    kept = workspace.deliveries / source.name / "manifests" / digest[:16] / place.name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(kept.name + ".partial")
        partial.write_bytes(content)
        partial.replace(kept)
    store.remember(file, digest, kept)
    return content, digest


def _missing(manifest: Manifest, paths: list[str], parts: list[Found | None]) -> str:
    """What the manifest lists and is not there, or not whole."""
    absent = [path for path, part in zip(paths, parts, strict=True) if part is None]
    short = [
        f"{part.name} ({part.bytes:,} of {stated.bytes:,} bytes)"
        for stated, part in zip(manifest.parts, parts, strict=True)
        if part and stated.bytes not in (None, part.bytes) and not part.name.endswith(_COMPRESSED)
    ]
    count = len(manifest.parts)
    said = [f"{len(absent)} of {count} listed files are missing: {_list(absent)}"] if absent else []
    return "; ".join(said + ([f"{len(short)} of {count} have another size than stated: {_list(short)}"] if short else []))


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


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
