"""The published charges as a FOCUS 1.2 Cost and Usage file, CSV or Parquet: own ledgers and every bill in one shape.

Column set and order are FOCUS 1.2's; what Tollbook knows beyond it follows as `x_` columns. No amount is changed or made up:
a cost that no bill stated stays NULL. Only words are mended (`sql/focus_export.sql` says which), where an older or newer FOCUS
version, or a vendor's own export, says the same with another word.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import duckdb

from tollbook.errors import TollbookError
from tollbook.sources.typing import quoted, text

#: The versions that can be written.
VERSIONS = ("1.2",)
_SQL = Path(__file__).parent / "sql" / "focus_export.sql"
_SUFFIXES = {
    ".csv": "(format csv, header true)",
    ".csv.gz": "(format csv, header true, compression gzip)",
    ".parquet": "(format parquet, compression zstd)",
}


def export_focus(db: duckdb.DuckDBPyConnection, out: Path, period: date | None = None, version: str = "1.2") -> int:
    """Write ``finance.fct_charges`` to ``out``, all of it or of one billing period; return the number of rows.

    Money is in the bill's currency with every digit; CSV has times as ISO 8601 with Z and no exponents.

    Raises:
        TollbookError: an unknown version or kind of file, nothing to write, or nothing current was published.
    """
    if version not in VERSIONS:
        raise TollbookError(f"FOCUS {version} cannot be written; known are {', '.join(VERSIONS)}.")
    options = next((options for suffix, options in _SUFFIXES.items() if out.name.lower().endswith(suffix)), None)
    if options is None:
        raise TollbookError(f"{out}: unknown kind of file; known are {', '.join(_SUFFIXES)}.")
    wanted = f"where billing_period = date {text(period.isoformat())}" if period else ""
    query = _SQL.read_text().replace("/* wanted */", wanted)
    # written beside it and swapped in: a reader never sees half a file
    half = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        db.execute("set TimeZone = 'UTC'")
        columns = {row[0]: row[1] for row in db.execute(f"describe {query}").fetchall()}
        written = ", ".join(_as_text(name, kind) if "csv" in options else _as_typed(name, kind) for name, kind in columns.items())
        out.parent.mkdir(parents=True, exist_ok=True)
        (rows,) = db.execute(f"copy (select {written} from ({query})) to {text(str(half))} {options}").fetchone()
    except duckdb.Error as error:
        half.unlink(missing_ok=True)
        raise TollbookError(
            f"the published charges cannot be written: {str(error).splitlines()[0]} Run `tollbook run` if an older version published them."
        ) from error
    if not rows:
        half.unlink(missing_ok=True)
        raise TollbookError(f"no charges{f' of {period:%Y-%m}' if period else ''} are published; nothing was written.")
    os.replace(half, out)
    return rows


def _as_text(name: str, kind: str) -> str:
    if kind.startswith("DECIMAL"):
        # a decimal stays one for readers that guess: 24.0, never 24
        bare = f"rtrim({quoted(name)}::varchar, '0')"
        return f"{bare} || case when {bare} like '%.' then '0' else '' end as {quoted(name)}"
    if kind == "TIMESTAMP":
        # a fraction of a second only where there is one
        return f"replace(strftime({quoted(name)}, '%Y-%m-%dT%H:%M:%S.%fZ'), '.000000Z', 'Z') as {quoted(name)}"
    return quoted(name)


def _as_typed(name: str, kind: str) -> str:
    return f"{quoted(name)} at time zone 'UTC' as {quoted(name)}" if kind == "TIMESTAMP" else quoted(name)
