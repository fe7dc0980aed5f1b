"""Rows of a query by column name."""

from __future__ import annotations

import duckdb


def records(db: duckdb.DuckDBPyConnection, query: str, given: dict | list | None = None) -> list[dict]:
    """What a query finds, a dict per row."""
    result = db.execute(query, given)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
