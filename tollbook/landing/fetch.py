"""Ask a paginated API page by page, patiently, and keep each page: a pull that stopped goes on where it was.

Retried with growing waits: no connection, timeouts, 408, 409, 425, 429 (not before its Retry-After) and 5xx, and answers that
are no page. Not retried: other 4xx. The key is never part of a message.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path

import httpx
import msgspec
import tenacity

from tollbook.errors import ConfigError, DeliveryError

_RETRIED = (408, 409, 425, 429)
_LONGEST_WAIT = 600.0
# cursors that change for ever without a bucket are a loop, too
_MOST_EMPTY = 20

log = logging.getLogger("tollbook")
Sleep = Callable[[float], None]


class Page(msgspec.Struct):
    """An answer's envelope; the buckets stay the bytes they were, so no digit is lost."""

    data: list[msgspec.Raw]
    has_more: bool = False
    next_page: str | None = None


class _Again(Exception):
    """The request may work later; ``after`` seconds at least."""

    def __init__(self, said: str, after: float = 0.0):
        super().__init__(said)
        self.after = after


class Astray(DeliveryError):
    """The pages do not lead to an end."""


class CursorGone(DeliveryError):
    """The API no longer knows the page that a stopped pull was to go on with."""


def read_pages(client: httpx.Client, path: str, query: list[tuple[str, str]], stage: Path, attempts: int, sleep: Sleep) -> list[bytes]:
    """All pages of the query, in order; those in ``stage`` are not asked for again, each new one is kept there at once.

    Raises:
        DeliveryError: the API refuses, or stays out of reach.
        Astray: its cursors lead round in a circle.
        CursorGone: a cursor from an earlier run is refused.
    """
    stage.mkdir(parents=True, exist_ok=True)
    kept = sorted(stage.glob("*.json"))
    pages, cursors, digests, empty, cursor = [], set(), {}, 0, None
    is_kept = False
    while True:
        number = len(pages)
        if number < len(kept):
            body = kept[number].read_bytes()
            is_kept = True
        else:
            try:
                body = ask(client, path, [*query, *([("page", cursor)] if cursor else [])], attempts, sleep, decode)
            except Refused as refused:
                if is_kept and refused.status in (400, 404, 410, 422):
                    raise CursorGone(str(refused)) from refused
                raise DeliveryError(str(refused)) from refused
            is_kept = False
            write(stage / f"{number:06d}.json", body)
        page = decode(body)
        pages.append(body)
        digest = sha256(b"\n".join(bytes(bucket) for bucket in page.data)).digest()
        if page.data and digest in digests:
            raise Astray(f"{path}: page {number + 1} repeats page {digests[digest] + 1}. Nothing was delivered; pull again.")
        digests[digest] = number
        if not page.has_more:
            return pages
        if not page.next_page:
            raise Astray(f"{path}: page {number + 1} says that there is more, but not where. Nothing was delivered; pull again.")
        if page.next_page in cursors:
            raise Astray(f"{path}: page {number + 1} leads back to a page already read. Nothing was delivered; pull again.")
        empty = 0 if page.data else empty + 1
        if empty == _MOST_EMPTY:
            raise Astray(f"{path}: {empty} pages without a bucket, and still more to come. Nothing was delivered; pull again.")
        cursor = page.next_page
        cursors.add(cursor)


def decode(body: bytes) -> Page:
    """The page's envelope.

    Raises:
        msgspec.MsgspecError: it is no page.
    """
    return msgspec.json.decode(body, type=Page)


class Refused(Exception):
    """The API will not answer this request; ``status`` is the HTTP one."""

    def __init__(self, said: str, status: int):
        super().__init__(said)
        self.status = status


def key_of(source: str, variable: str) -> str:
    """The key that an environment variable holds.

    Raises:
        ConfigError: it is not set, or holds no key.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"{source}: environment variable {variable} is not set; it must hold the admin key.")
    if not re.fullmatch("[!-~]+", key):
        raise ConfigError(f"{source}: what environment variable {variable} holds is no key: it has blanks or signs beyond ASCII.")
    return key


def ask(
    client: httpx.Client, path: str, query: list[tuple[str, str]], attempts: int, sleep: Sleep, check: Callable[[bytes], object]
) -> bytes:
    """One answer, asked for again while that may help; ``check`` raises MsgspecError for what is no answer.

    Raises:
        Refused: the API will not answer.
        DeliveryError: it stays out of reach.
    """
    backoff = tenacity.wait_exponential_jitter(initial=1, max=60)

    def wait(state: tenacity.RetryCallState) -> float:
        return max(backoff(state), state.outcome.exception().after)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        retry=tenacity.retry_if_exception_type(_Again),
        sleep=sleep,
        before_sleep=lambda state: log.warning("%s: %s; asking again", path, state.outcome.exception()),
        reraise=True,
    )
    try:
        return retrying(_ask_once, client, path, query, check)
    except _Again as error:
        raise DeliveryError(
            f"{path}: {error}, {attempts} times. Nothing was delivered; what was read is kept, so pull again later to go on."
        ) from error


def _ask_once(client: httpx.Client, path: str, query: list[tuple[str, str]], check: Callable[[bytes], object]) -> bytes:
    try:
        answer = client.get(path, params=query)
    except httpx.TransportError as error:
        raise _Again(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    if answer.status_code in _RETRIED or answer.status_code >= 500:
        raise _Again(f"status {answer.status_code}", _retry_after(answer))
    if answer.status_code != 200:
        raise Refused(f"{path}: status {answer.status_code}{_complaint(answer)}. Nothing was delivered.", answer.status_code)
    try:
        check(answer.content)
    except msgspec.MsgspecError as error:
        raise _Again(f"the answer is no page ({error})") from error
    return answer.content


def _retry_after(answer: httpx.Response) -> float:
    """Seconds, from a number or an HTTP date; 0 where there is none or it cannot be read.

    Raises:
        Refused: the API wants to be left alone for longer than a task should wait.
    """
    said = answer.headers.get("retry-after", "").strip()
    if not said:
        return 0.0
    try:
        seconds = float(said)
    except ValueError:
        try:
            moment = parsedate_to_datetime(said)
        except ValueError:
            return 0.0
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    if seconds > _LONGEST_WAIT:
        raise Refused(f"{answer.url.path}: status {answer.status_code}, not before {said}. Pull again then, to go on.", answer.status_code)
    return max(seconds, 0.0)


def _complaint(answer: httpx.Response) -> str:
    """What the API says, its key taken out."""
    said = " ".join(answer.text.split())[:300]
    for name in ("authorization", "x-api-key"):
        key = answer.request.headers.get(name, "").removeprefix("Bearer ")
        said = said.replace(key, "***") if key else said
    return f" ({said})" if said else ""


def write(file: Path, body: bytes) -> None:
    """Replace the file as a whole."""
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(body)
    partial.replace(file)
