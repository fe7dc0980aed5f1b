"""Fixtures for all tests: workspaces made of text, and the public data beside the checkout."""

import os
from pathlib import Path

import pytest

from tests.workspaces import write_workspace
from tollbook.workspace import Workspace

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture
def repo():
    return REPO


def find_shared_data(*sets: str) -> Path:
    """The folder of public bills and telemetry; skips where it, or one of these sets, is absent, fails where it must be there."""
    folder = Path(os.environ.get("TOLLBOOK_SHARED_DATA", REPO.parent / "shared" / "data"))
    absent = [str(place) for place in (folder, *(folder / name for name in sets)) if not place.is_dir()]
    if absent:
        said = f"no public data in {', '.join(absent)}; set TOLLBOOK_SHARED_DATA"
        if os.environ.get("TOLLBOOK_REQUIRE_SHARED"):
            pytest.fail(said)
        pytest.skip(said)
    return folder


@pytest.fixture
def shared_data():
    return find_shared_data()


@pytest.fixture
def workspace(tmp_path):
    """Make a workspace of the given tollbook.yml text and files (path to text or bytes)."""

    def make(settings: str, files: dict[str, str | bytes] | None = None) -> Workspace:
        return write_workspace(tmp_path, settings, files)

    return make


@pytest.fixture
def ask():
    """Rows of a query on a workspace's warehouse."""

    def rows(workspace: Workspace, query: str) -> list[tuple]:
        with workspace.connect(read_only=True) as db:
            return db.execute(query).fetchall()

    return rows
