import pytest
from tollbook.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    """Make a workspace of the given tollbook.yml text and files (path to text or bytes)."""

    def make(settings: str, files: dict[str, str | bytes] | None = None) -> Workspace:
        (tmp_path / "tollbook.yml").write_text(settings)
        for name, content in (files or {}).items():
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Workspace.open(tmp_path)

    return make


@pytest.fixture
def ask():
    """Rows of a query on a workspace's warehouse."""

    def rows(workspace: Workspace, query: str) -> list[tuple]:
        with workspace.connect(read_only=True) as db:
            return db.execute(query).fetchall()

    return rows
