"""The profiles and aggregates that the gates judge: the queries in ``sql/``, a few rows each, computed by DuckDB."""

from __future__ import annotations

from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import duckdb

_QUERIES = files("tollbook.quality") / "sql"


def run(db: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> list[SimpleNamespace]:
    """The rows of ``sql/<query>.sql``, columns as attributes; its first comment says their grain."""
    result = db.execute((_QUERIES / f"{query}.sql").read_text(), parameters or None)
    columns = [column[0] for column in result.description]
    return [SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in result.fetchall()]
