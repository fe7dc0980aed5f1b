"""One writer at a time: an OS lock on the workspace that says who holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from tollbook.errors import BusyError, TollbookError
from tollbook.finance.tables import TABLES
from tollbook.workspace import Workspace


@contextmanager
def writing(workspace: Workspace, what: str, wait_seconds: float = 3600, tell: Callable[[str], None] = print) -> Iterator[None]:
    """Hold the workspace's write lock; who has to wait is told for whom. Nested use in one process is free.

    The kernel releases the lock when the process ends, however it ends.

    Raises:
        BusyError: somebody else still wrote after ``wait_seconds``.
    """
    lock = FileLock(workspace.lock_file, is_singleton=True)
    note = _note(workspace)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"waiting for {holder(workspace)}, which is writing to {workspace.root}")
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            raise BusyError(
                f"{holder(workspace)} is still writing to {workspace.root} after {wait_seconds:.0f} s. Wait for it or stop it; "
                "nothing was changed."
            ) from None
    try:
        if lock.lock_counter == 1:
            note.write_text(json.dumps({"what": what, "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}))
        yield
    finally:
        if lock.lock_counter == 1:
            note.unlink(missing_ok=True)
        lock.release()


@contextmanager
def reading(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the warehouse; nobody writes meanwhile.

    Raises:
        TollbookError: there is no warehouse yet, or an earlier version of Tollbook made it and nothing was written since.
        BusyError: somebody is writing just now.
    """
    workspace.require_warehouse()
    try:
        db = workspace.connect(read_only=True)
    except BusyError as error:
        raise BusyError(f"{holder(workspace)} is writing to {workspace.root} just now; ask again when it is done.") from error
    with db:
        known = {row[0] for row in db.execute("select table_name from information_schema.tables where table_schema = 'ledger'").fetchall()}
        if not known >= TABLES.keys():
            raise TollbookError(f"an earlier version of Tollbook made {workspace.warehouse}; `tollbook run` brings it up to this one.")
        yield db


def holder(workspace: Workspace) -> str:
    """Who holds the lock, in words."""
    try:
        said = json.loads(_note(workspace).read_text())
        return f"`{said['what']}` (process {said['pid']}, since {said['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def _note(workspace: Workspace) -> Path:
    return workspace.lock_file.with_suffix(".holder")
