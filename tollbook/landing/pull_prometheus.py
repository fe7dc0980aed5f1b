"""Pull a Prometheus server's GPU series into the landing folder: raw samples, one file a UTC day, one series a line.

A source with ``options: {pull: {base_url: …, since: …}}`` is pulled from the moment where its last pull ended up to now, less
``settle_seconds`` for what is still on its way. Of ``metric[1h]`` the server answers the samples as they were scraped, so a gap
stays a gap; ``step_seconds`` asks ``query_range`` instead, which is less and fills gaps up to the server's lookback.

A day's file is written as a whole, and only then the moment moves on: a pull that stops goes on with that day, and the reader
takes a sample told twice once. What was delivered is never taken away, as the server forgets after its retention.

Sources: Prometheus documentation, "HTTP API" (also Thanos, Mimir, VictoriaMetrics), "Feature: range selectors" (left-open since 3.0).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import httpx
import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tollbook.errors import ConfigError, DeliveryError
from tollbook.landing import fetch
from tollbook.sources import prometheus_devices
from tollbook.workspace import Source

#: what is pulled by default, by the beginning of the format's name: a regular expression of metric names
METRICS = {"prometheus_": prometheus_devices.PULLED, "kube_state_metrics_": "kube_(pod|node|namespace)_.*"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SMALLEST = timedelta(minutes=1)
# what servers answer to a query that is more than they give at once
_TOO_MUCH = re.compile(r"(?i)too many samples|exceeded maximum resolution|limit|too (large|long)|timed? ?out")


class PrometheusOptions(BaseModel):
    """``options.pull`` of a source whose format is read from Prometheus. ``selector`` narrows down: ``cluster="a", job="dcgm"``."""

    model_config = ConfigDict(extra="forbid")

    api: Literal["prometheus"] = "prometheus"
    base_url: str
    since: date
    metrics: str = ""
    selector: str = ""
    step_seconds: int | None = Field(default=None, ge=1)
    chunk_minutes: int = Field(default=60, ge=1, le=1440)
    settle_seconds: int = Field(default=60, ge=0)
    key_env: Annotated[str, StringConstraints(pattern=r"^([A-Z_][A-Z0-9_]*)?$")] = ""
    auth: Literal["bearer", "basic"] = "bearer"
    tenant: str = ""
    timeout_seconds: float = Field(default=120, gt=0)
    attempts: int = Field(default=6, ge=1)

    @model_validator(mode="after")
    def is_safe(self) -> PrometheusOptions:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("base_url must be the server's address, such as http://prometheus.monitoring:9090")
        if url.username or url.password:
            raise ValueError("base_url must not hold a key or a password: name an environment variable in `key_env`")
        if self.key_env and url.scheme != "https" and url.hostname not in _LOOPBACK:
            raise ValueError("base_url must be https: the key would be sent in the clear")
        try:
            re.compile(self.metrics)
        except re.error as error:
            raise ValueError(f"metrics is no regular expression: {error}") from error
        self.base_url = self.base_url.rstrip("/").removesuffix("/api/v1")
        return self

    def headers(self, source: Source) -> dict[str, str]:
        """The headers that say who asks.

        Raises:
            ConfigError: the key's variable is not set, or holds no key.
        """
        found = {"X-Scope-OrgID": self.tenant} if self.tenant else {}
        if self.key_env and self.auth == "bearer":
            found["Authorization"] = f"Bearer {fetch.key_of(source.name, self.key_env)}"
        return found

    def login(self, source: Source) -> httpx.BasicAuth | None:
        """User and password, where the variable holds ``user:password``."""
        if not self.key_env or self.auth != "basic":
            return None
        user, colon, password = fetch.key_of(source.name, self.key_env).partition(":")
        if not colon:
            raise ConfigError(f"{source.name}: environment variable {self.key_env} must hold user:password.")
        return httpx.BasicAuth(user, password)


class _Answer(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class _Result(msgspec.Struct):
    result: list[_Series]


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


def applies(source: Source) -> bool:
    """Whether the source's format is read from a Prometheus server."""
    return source.format is not None and source.format.startswith(tuple(METRICS))


def pull(
    options: PrometheusOptions,
    source: Source,
    folder: Path,
    home: Path,
    days: tuple[date | None, date | None],
    now: datetime,
    sleep: Callable[[float], None],
    report,
) -> None:
    """Pull [start, end) and note it in ``report`` (a ``PullReport``); by default from where the last pull ended.

    Raises:
        ConfigError: a key is asked for and not there.
        DeliveryError: the server refuses, stays out of reach or answers nonsense; the days before it are delivered.
    """
    asked = [options.base_url, options.since.isoformat(), options.metrics, options.selector, options.step_seconds]
    until_file = home / f"until-{sha256(msgspec.json.encode(asked)).hexdigest()[:12]}"
    since = _midnight(options.since)
    until = datetime.fromisoformat(until_file.read_text().strip()) if until_file.is_file() else since
    latest = (now - timedelta(seconds=options.settle_seconds)).astimezone(UTC).replace(microsecond=0)
    start = _midnight(days[0]) if days[0] else max(since, until)
    end = min(_midnight(days[1]), latest) if days[1] else latest
    report.start, report.end = start, end
    if start >= end:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with httpx.Client(
        base_url=options.base_url, headers=options.headers(source), auth=options.login(source), timeout=options.timeout_seconds
    ) as client:
        ask = partial(_ask, client, options, sleep)
        try:
            for first, last in _pieces(start, end, timedelta(days=1)):
                _pull_day(options, ask, source, folder, first, last, report)
                # a range that leaves a gap behind does not count as pulled up to its end
                if start <= until < last:
                    fetch.write(until_file, last.isoformat().encode())
        except (DeliveryError, fetch.Refused) as error:
            raise DeliveryError(f"{source.name}: {error}") from error


def _pull_day(options: PrometheusOptions, ask, source: Source, folder: Path, first: datetime, last: datetime, report) -> None:
    """Add what was scraped in [first, last), of one UTC day, to the day's file; the file is replaced as a whole."""
    file = folder / f"{first:%Y-%m-%d}.jsonl"
    partial_file = file.with_name(f".{file.name}.partial")
    if file.is_file():
        shutil.copyfile(file, partial_file)
    else:
        partial_file.write_bytes(b"")
    names = _names(options, ask, source, first, last)
    size = partial_file.stat().st_size
    with partial_file.open("ab") as out:
        for start, end in _pieces(first, last, timedelta(minutes=options.chunk_minutes)):
            for name in names:
                for line in _series(options, ask, name, start, end):
                    out.write(line + b"\n")
    if partial_file.stat().st_size == size:
        partial_file.unlink()
        report.unchanged += 1
        return
    partial_file.replace(file)
    report.written.append(file)


def _names(options: PrometheusOptions, ask, source: Source, start: datetime, end: datetime) -> list[str]:
    """The metrics there are in the range, of those that are wanted."""
    wanted = options.metrics or next(names for prefix, names in METRICS.items() if source.format.startswith(prefix))
    query = [("match[]", _selector(f"__name__=~{msgspec.json.encode(wanted).decode()}", options)), *_range(start, end)]
    found = ask("/api/v1/label/__name__/values", query, list[str])
    # servers that ignore match[] answer all the names they have
    return sorted(name for name in found if re.fullmatch(wanted, name))


def _series(options: PrometheusOptions, ask, name: str, start: datetime, end: datetime) -> Iterator[bytes]:
    """One line for each series of the metric, its samples of [start, end) in it; in halves where it is more than the server gives."""
    selector = _selector(f"__name__={msgspec.json.encode(name).decode()}", options)
    try:
        if options.step_seconds:
            step = options.step_seconds
            # moments that any pull asks for, so that two of them never tell one step twice
            begin = -(-int(start.timestamp()) // step) * step
            if begin >= end.timestamp():
                return
            query = [("query", selector), ("start", str(begin)), ("end", f"{end.timestamp() - 0.001:.3f}"), ("step", str(step))]
            found = ask("/api/v1/query_range", query, _Result)
        else:
            window = f"{selector}[{round((end - start).total_seconds() * 1000)}ms]"
            found = ask("/api/v1/query", [("query", window), ("time", f"{end.timestamp() - 0.001:.3f}")], _Result)
    except fetch.Refused as refused:
        if refused.status not in (400, 413, 422) or not _TOO_MUCH.search(str(refused)) or end - start <= _SMALLEST:
            raise
        middle = start + (end - start) / 2
        yield from _series(options, ask, name, start, middle)
        yield from _series(options, ask, name, middle, end)
        return
    first = start.timestamp()
    for series in found.result:
        # before 3.0 the server counted the moment at which the window opens
        series.values = [sample for sample in series.values if sample[0] >= first]
        if series.values:
            yield msgspec.json.encode(series)


def _ask(client: httpx.Client, options: PrometheusOptions, sleep, path: str, query: list[tuple[str, str]], kind: type):
    return _data(fetch.ask(client, path, query, options.attempts, sleep, partial(_data, kind=kind)), kind=kind)


def _data(body: bytes, kind: type):
    """What the server answered.

    Raises:
        msgspec.MsgspecError: it is no answer.
    """
    answer = msgspec.json.decode(body, type=_Answer)
    if answer.status != "success":
        raise msgspec.ValidationError(answer.error or f"status {answer.status}")
    return msgspec.json.decode(answer.data, type=kind)


def _selector(matcher: str, options: PrometheusOptions) -> str:
    return "{" + ", ".join(part for part in (matcher, options.selector.strip().strip("{}")) if part) + "}"


def _range(start: datetime, end: datetime) -> list[tuple[str, str]]:
    return [("start", f"{start.timestamp():.3f}"), ("end", f"{end.timestamp():.3f}")]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _pieces(start: datetime, end: datetime, length: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut where a multiple of the length since midnight lies."""
    while start < end:
        passed = start - datetime.combine(start.date(), time(), UTC)
        following = min(end, start + length - passed % length)
        yield start, following
        start = following
