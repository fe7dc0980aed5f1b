"""The numbers of the report: the queries in ``sql/`` on the published marts, a few rows each.

Money is in the reporting currency. A name from a bill can hold anything: every text is made printable here, and escaped
where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from tollbook.errors import TollbookError
from tollbook.report.formats import counted

Rows = list[dict[str, Any]]

MARTS = (
    "finance.fct_charges",
    "finance.fct_chargeback",
    "finance.fct_shared_costs",
    "finance.fct_commitments",
    "finance.fct_invoice_tie_out",
    "engineering.fct_gpu_hours",
    "engineering.fct_gpu_days",
    "product.fct_token_costs",
    "quality.fct_reconciliation",
    "quality.fct_bridge",
    "quality.fct_tag_coverage",
    "quality.fct_deliveries",
    "quality.fct_quarantine",
    "quality.fct_checks",
    "quality.publication",
)
_LONGEST_TEXT = 240
_QUERIES = files("tollbook.report") / "sql"


@contextmanager
def published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the published marts.

    Raises:
        TollbookError: nothing is published at ``path``.
    """
    if not path.is_file():
        raise TollbookError(f"{path} does not exist: nothing is published yet. Run `tollbook run`.")
    with duckdb.connect(str(path), read_only=True, config={"autoinstall_known_extensions": "false"}) as db:
        db.execute("set TimeZone = 'UTC'")
        yield db


def rows(db: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> Rows:
    """The rows of ``sql/<query>.sql``; its first comment says their grain.

    A query on a mart that is not published has no rows; ``missing_marts`` names the mart on the report.
    """
    sql = (_QUERIES / f"{query}.sql").read_text()
    try:
        result = db.execute(sql, parameters)
    except duckdb.CatalogException:
        return []
    names = [column[0] for column in result.description]
    return [dict(zip(names, map(_printable, row), strict=True)) for row in result.fetchall()]


def missing_marts(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Marts of the report that the published file does not have."""
    tables = db.execute("select table_schema || '.' || table_name from information_schema.tables").fetchall()
    return [mart for mart in MARTS if (mart,) not in tables]


def currency(db: duckdb.DuckDBPyConnection) -> str | None:
    """The one currency of all amounts; None where there is no amount.

    Raises:
        TollbookError: the marts mix currencies, so no sum would mean anything.
    """
    codes = [row["currency_code"] for row in rows(db, "currencies")]
    if len(codes) > 1:
        raise TollbookError(
            f"the published marts mix currencies ({', '.join(codes)}), so nothing can be added up. Run `tollbook build --full-refresh`."
        )
    return codes[0] if codes else None


def publication(db: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """``published_at`` (UTC), ``run_id``, ``status``, ``warnings``, ``newest_usage_date``; empty where nothing says."""
    found = rows(db, "publication")
    return found[0] if found else {}


def standing(publication: dict[str, Any]) -> tuple[str, str]:
    """How the published numbers stand: a role (good, warn, bad) and the words for it."""
    if not publication:
        return "bad", "the published file does not say when it was published"
    if publication["warnings"]:
        return "warn", f"published with {counted(publication['warnings'], 'warning')}"
    if publication["status"] != "clean":
        return "warn", f"published with a mark: {publication['status']}"
    return "good", "every check passed"


def _printable(value: Any) -> Any:
    """Text without control and direction characters (a terminal obeys them), no longer than a cell can show."""
    if not isinstance(value, str):
        return value
    start = value[: _LONGEST_TEXT + 1]
    shown = "".join(sign if sign.isprintable() else " " if sign.isspace() else "\N{REPLACEMENT CHARACTER}" for sign in start)
    return shown if len(shown) <= _LONGEST_TEXT else shown[:_LONGEST_TEXT] + "…"
