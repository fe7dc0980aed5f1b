"""Pull model vendors' reports into the landing folder: whole days (or months), one JSON lines file each, buckets as answered.

A source with ``options: {pull: {...}}`` is pulled from where its last pull ended, less ``again_days`` that the vendor may
still restate, up to the last full UTC day. Pages are staged in ``.pulls/<source>``; only when the range is complete do they
become deliveries, so a pull that stops leaves no half a day and goes on where it was. A day that says the same again keeps
its file. A day that had a delivery and now has nothing keeps it too, and is named: an API that forgets is no credit. A Prometheus server is pulled up to now (``pull_prometheus``).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from time import sleep as really_sleep
from typing import Annotated, Literal
from urllib.parse import urlsplit

import filelock
import httpx
import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tollbook.errors import BusyError, ConfigError, DeliveryError
from tollbook.landing import fetch, pull_prometheus
from tollbook.landing.pull_prometheus import PrometheusOptions
from tollbook.landing.vendors import APIS, Api, day_of
from tollbook.workspace import Source, Workspace

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: staged pages older than this are read anew: days may have been restated since
_STAGED_FOR = timedelta(hours=12)


class PullOptions(BaseModel):
    """``options.pull`` of a source. ``base_url``, ``key_env``, ``group_by`` and ``kinds`` are the vendor's own by default."""

    model_config = ConfigDict(extra="forbid")

    api: Literal[tuple(APIS)]
    since: date
    base_url: str = ""
    key_env: Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")] = ""
    period: Literal["day", "month"] = "day"
    again_days: int = Field(default=7, ge=0)
    bucket_width: Literal["1d", "1h", "1m"] = "1d"
    kinds: list[str] | None = None
    group_by: list[str] | None = None
    timeout_seconds: float = Field(default=60, gt=0)
    attempts: int = Field(default=6, ge=1)

    @model_validator(mode="after")
    def fits_the_api(self) -> PullOptions:
        api = self.vendor
        self.base_url = (self.base_url or api.base_url).rstrip("/").removesuffix("/v1")
        self.key_env = self.key_env or api.key_env
        self.kinds = list(api.paths) if self.kinds is None else self.kinds
        unknown = [kind for kind in self.kinds if kind not in api.paths]
        if unknown or not self.kinds:
            raise ValueError(f"kinds {', '.join(unknown) or 'is empty'}: {self.api} has {', '.join(api.paths)}")
        if self.group_by is not None and len(self.kinds) > 1:
            raise ValueError("group_by is for one kind: name it in `kinds`")
        if self.bucket_width not in api.limits:
            raise ValueError(f"bucket_width {self.bucket_width}: {self.api} has {', '.join(api.limits)}")
        url = urlsplit(self.base_url)
        if url.username or url.password:
            raise ValueError("base_url must not hold a key or a password: name an environment variable in `key_env`")
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
            raise ValueError("base_url must be https: the key would be sent in the clear")
        return self

    @property
    def vendor(self) -> Api:
        return APIS[self.api]


@dataclass
class PullReport:
    """What one source's pull did: days asked for ([start, end)), pages read anew, files written and unchanged, days lost."""

    source: str
    start: date
    end: date
    pages: int = 0
    written: list[Path] = field(default_factory=list)
    unchanged: int = 0
    vanished: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = f"{self.source}: {self.start} to {self.end}: {len(self.written)} files written, {self.unchanged} unchanged"
        if self.vanished:
            told += f"\n  nothing is stated any more for {', '.join(self.vanished)}: the deliveries stay; take them away if that is right"
        return told


class _Bucket(msgspec.Struct):
    start_time: int | float | str | None = None
    starting_at: str | None = None
    results: list[msgspec.Raw] | None = None
    result: list[msgspec.Raw] | None = None


def pulled_sources(workspace: Workspace) -> list[Source]:
    """The sources that have a ``pull`` section."""
    return [source for source in workspace.sources if "pull" in source.options]


def pull_source(
    workspace: Workspace,
    source: Source,
    start: date | None = None,
    end: date | None = None,
    *,
    now: datetime | None = None,
    sleep: Callable[[float], None] = really_sleep,
) -> PullReport:
    """Pull the days [start, end) of the source into its landing folder; by default what is new and what may have changed.

    Raises:
        ConfigError: the ``pull`` section or the source's path cannot be used, or the key's variable is not set.
        DeliveryError: the API refuses, stays out of reach or answers nonsense; no file was changed.
        BusyError: another pull of the source is running.
    """
    options = _options(source)
    folder = _folder(workspace, source)
    is_prometheus = isinstance(options, PrometheusOptions)
    key = "" if is_prometheus else fetch.key_of(source.name, options.key_env)
    home = workspace.root / ".pulls" / source.name
    home.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(home / ".lock", timeout=0)
    try:
        with lock:
            if is_prometheus:
                report = PullReport(source.name, options.since, options.since)
                pull_prometheus.pull(options, source, folder, home, (start, end), now or datetime.now(UTC), sleep, report)
                return report
            return _pull(options, source, folder, home, key, (start, end), now or datetime.now(UTC), sleep)
    except filelock.Timeout as error:
        raise BusyError(f"{source.name} is being pulled by another process.") from error


def _options(source: Source) -> PullOptions | PrometheusOptions:
    given = source.options.get("pull")
    if not isinstance(given, dict):
        raise ConfigError(f"{source.name}: nothing says how to pull it; give it options: {{pull: {{since: 2026-01-01}}}}.")
    try:
        if pull_prometheus.applies(source):
            return PrometheusOptions.model_validate(given)
        options = PullOptions.model_validate({"api": source.format} | given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'pull'}: {fault['msg']}" for fault in error.errors(include_input=False))
        raise ConfigError(f"{source.name}: options.pull: {faults}") from error
    if options.api != source.format:
        raise ConfigError(f"{source.name}: options.pull.api is {options.api}, but the format is {source.format}; they must be the same.")
    return options


def _folder(workspace: Workspace, source: Source) -> Path:
    path = Path(source.path).expanduser()
    if any(sign in str(path.parent) for sign in "*?[") or not fnmatch("2026-01-31.jsonl", path.name):
        raise ConfigError(
            f"{source.name}: what is pulled would not be loaded from {source.path}; let `path` be landing/{source.name}/*.jsonl"
        )
    return path.parent if path.is_absolute() else workspace.root / path.parent


def _pull(options: PullOptions, source: Source, folder: Path, home: Path, key: str, days: tuple, now: datetime, sleep) -> PullReport:
    told = [options.base_url, options.since.isoformat(), options.period, options.kinds, options.group_by, options.bucket_width]
    asked = sha256(msgspec.json.encode(told)).hexdigest()[:12]
    until_file = home / f"until-{asked}"
    until = date.fromisoformat(until_file.read_text().strip()) if until_file.is_file() else options.since
    start, end = _range(options, until, days, now.astimezone(UTC).date())
    report = PullReport(source.name, start, end)
    if start >= end:
        return report
    stage = home / f"{start}_{end}_{asked}"
    _forget_other(home, stage, now)
    try:
        bodies = _read(options, stage, key, report, sleep)
    except fetch.Astray as error:
        # what led astray is not gone on with
        shutil.rmtree(stage)
        raise DeliveryError(f"{source.name}: {error}") from error
    except DeliveryError as error:
        raise DeliveryError(f"{source.name}: {error}") from error
    _deliver(source, bodies, folder, options.period, report)
    # a range that leaves a gap behind does not count as pulled up to its end
    if start <= until < end:
        _write(until_file, end.isoformat().encode())
    shutil.rmtree(stage)
    return report


def _read(options: PullOptions, stage: Path, key: str, report: PullReport, sleep) -> list[bytes]:
    """All pages of all kinds, those staged not asked for again."""
    bodies = []
    group_by = None if options.group_by is None else tuple(options.group_by)
    with httpx.Client(base_url=options.base_url, headers=options.vendor.headers(key), timeout=options.timeout_seconds) as client:
        for kind in options.kinds:
            place = stage / kind
            query = options.vendor.query(kind, report.start, report.end, options.bucket_width, group_by)
            ask = (client, options.vendor.paths[kind][0], query, place, options.attempts, sleep)
            staged = len(list(place.glob("*.json")))
            try:
                pages = fetch.read_pages(*ask)
            except fetch.CursorGone:
                shutil.rmtree(place)
                staged = 0
                pages = fetch.read_pages(*ask)
            report.pages += len(pages) - staged
            bodies += pages
    return bodies


def _range(options: PullOptions, until: date, days: tuple[date | None, date | None], today: date) -> tuple[date, date]:
    """The days to ask for; whole months where a file is a month, as it is replaced as a whole."""
    start = days[0] or max(options.since, until - timedelta(days=options.again_days))
    end = min(days[1] or today, today)
    if options.period == "month":
        start = start.replace(day=1)
        following = (end.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = end if end.day == 1 else min(following, today)
    return start, end


def _forget_other(home: Path, stage: Path, now: datetime) -> None:
    """Take away staged pages of other ranges, and such as have lain too long."""
    for folder in home.iterdir():
        if not folder.is_dir():
            continue
        newest = max((file.stat().st_mtime for file in folder.rglob("*") if file.is_file()), default=0.0)
        if folder != stage or now.timestamp() - newest > _STAGED_FOR.total_seconds():
            shutil.rmtree(folder)


def _deliver(source: Source, bodies: list[bytes], folder: Path, period: str, report: PullReport) -> None:
    """Write one file per day or month that has results; those that say the same stay untouched."""
    lines: dict[str, list[bytes]] = {}
    answered, outside = 0, None
    for body in bodies:
        for raw in fetch.decode(body).data:
            try:
                bucket = msgspec.json.decode(raw, type=_Bucket)
                day = day_of(bucket.starting_at if bucket.start_time is None else bucket.start_time)
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                raise DeliveryError(f"{source.name}: a bucket cannot be read ({error}). Nothing was delivered.") from error
            if not report.start <= day < report.end:
                outside = day
                continue
            answered += 1
            if bucket.results or bucket.result:
                lines.setdefault(_period(day, period), []).append(msgspec.json.format(bytes(raw), indent=-1))
    if outside and not answered:
        raise DeliveryError(f"{source.name}: asked for {report.start} to {report.end}, answered {outside}. Nothing was delivered.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(lines):
        file = folder / f"{name}.jsonl"
        # the same bucket on two pages is one
        content = b"".join(line + b"\n" for line in dict.fromkeys(lines[name]))
        if file.is_file() and file.read_bytes() == content:
            report.unchanged += 1
        else:
            _write(file, content)
            report.written.append(file)
    asked = {_period(report.start + timedelta(days=number), period) for number in range((report.end - report.start).days)}
    there = {file.stem for file in folder.glob("*.jsonl") if re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", file.stem)}
    report.vanished = sorted((asked & there) - set(lines))


def _period(day: date, period: str) -> str:
    return f"{day:%Y-%m}" if period == "month" else day.isoformat()


def _write(file: Path, content: bytes) -> None:
    # a name that is no delivery yet
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content)
    partial.replace(file)
