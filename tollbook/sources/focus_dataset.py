"""What the readers of FOCUS's smaller datasets share: the columns of a file by their FOCUS names, whatever their case.

Names are compared without case, blanks and underscores, and `%` is read as `Percentage` (drafts wrote
ContractCommitmentDiscount%, the published 1.4 ContractCommitmentDiscountPercentage). The words NULL, null and (null) stand
for nothing. What has no canonical place is kept as JSON in `other_columns`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text

_NOTHING = ("", "null", "(null)")


@dataclass(frozen=True)
class Column:
    """A canonical column, and the FOCUS columns that fill it: the first of them that has a value."""

    name: str
    focus: tuple[str, ...]
    required: bool = False


def plain(name: str) -> str:
    """The name as it is compared."""
    return name.replace("%", "percentage").replace("_", "").replace(" ", "").casefold()


def cleaned(column: str, delivered: str) -> str:
    """The SQL of a delivered column, NULL where its text stands for nothing."""
    if delivered != "VARCHAR":
        return quoted(column)
    nothing = ", ".join(text(word) for word in _NOTHING)
    return f"case when lower(trim({quoted(column)})) not in ({nothing}) then {quoted(column)} end"


def refuse_missing(file: Path, missing: list[str], is_text: bool) -> None:
    """Raise DeliveryError where required FOCUS columns are missing from the file."""
    if not missing:
        return
    hint = ""
    if is_text:
        found = files.guess_delimiter(files.header(file))
        if found != ",":
            hint = f" The header looks {files.delimiter_name(found)}-delimited; FOCUS CSV is comma-delimited."
    raise DeliveryError(
        f"{file.name}: required column missing: {', '.join(missing)}.{hint} Export it again with these columns; nothing of it was loaded."
    )


def projection(db: duckdb.DuckDBPyConnection, file: Path, columns: tuple[Column, ...]) -> dict[str, str]:
    """Open ``file`` as ``delivery``; the SQL of each canonical column that the file can fill, `other_columns` among them.

    Raises:
        DeliveryError: unreadable file, or a required column missing.
    """
    opened = files.open_delivery(db, file, all_text=True)
    by_name: dict[str, str] = {}
    for column in opened.columns:
        by_name.setdefault(plain(column), column)
    refuse_missing(file, [column.focus[0] for column in columns if column.required and not _of(column, by_name)], is_text=opened.is_text)
    parts, used = {}, set()
    for column in columns:
        found = _of(column, by_name)
        values = [cleaned(name, opened.columns[name]) for name in found]
        if values:
            parts[column.name] = values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
            used |= set(found)
    others = [column for column in opened.columns if column not in used]
    if others:
        pairs = ", ".join(f"{text(column)}, {cleaned(column, opened.columns[column])}" for column in others)
        parts["other_columns"] = f"json_object({pairs})::varchar"
    return parts


def select(parts: dict[str, str]) -> str:
    """The SELECT from ``delivery`` of these columns and ``file_row``."""
    return f"select {', '.join(f'{value} as {name}' for name, value in parts.items())}, file_row from delivery"


def _of(column: Column, by_name: dict[str, str]) -> list[str]:
    return [by_name[plain(name)] for name in column.focus if plain(name) in by_name]
