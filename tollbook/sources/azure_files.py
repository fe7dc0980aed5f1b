"""Open an Azure cost file and find which of its columns is which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tollbook.sources import azure_values as values
from tollbook.sources import files
from tollbook.sources.typing import quoted, text

_TOO_FEW = r"^Expected Number of Columns: (\d+) Found: (\d+)"


@dataclass(frozen=True)
class Columns:
    """The delivered columns of a file and what each one is."""

    file: Path
    types: dict[str, str]
    found: dict[str, str]  # field of azure_columns.yml -> delivered column
    localized: bool  # some header is not the English one, or semicolons cut the file
    has_semicolons: bool

    def has(self, *fields: str) -> bool:
        return any(field in self.found for field in fields)

    def text(self, field: str) -> str:
        """SQL of the field as text, NULL where it is blank or not delivered."""
        if field not in self.found:
            return "null::varchar"
        name = quoted(self.found[field])
        kind = self.types[self.found[field]].upper()
        if kind.startswith(("STRUCT", "MAP", "JSON")):
            return f"to_json({name})::varchar"
        # a double gives its shortest text, so that 0.1 stays 0.1
        return f"nullif(trim({name}), '')" if kind == "VARCHAR" else f"{name}::varchar"

    def texts(self, *fields: str) -> list[str]:
        """As ``text``, of those fields that were delivered as text."""
        return [self.text(field) for field in fields if field in self.found and self.types[self.found[field]].upper() == "VARCHAR"]

    def first(self, *fields: str) -> str:
        """SQL of the first of these fields that is not blank."""
        delivered = [self.text(field) for field in fields if field in self.found]
        return f"coalesce({', '.join(delivered)})" if delivered else "null::varchar"

    @property
    def others(self) -> list[str]:
        return [column for column in self.types if column not in self.found.values()]


def open_export(db: duckdb.DuckDBPyConnection, file: Path) -> Columns:
    """Make ``delivery`` and ``unread`` for ``file``, all text where it is CSV; its columns by meaning.

    Commas or, as a German spreadsheet saves it, semicolons. Records that all lack the same last columns are taken without them.

    Raises:
        DeliveryError: unreadable file.
    """
    opened = files.open_delivery(db, file, all_text=True, any_delimiter=True)
    types = opened.columns
    if opened.is_text and not db.execute("select exists (from delivery)").fetchone()[0]:
        types = _without_last_columns(db, file, types)
    found, localized = _meanings(list(types))
    # what a spreadsheet writes where the comma is the decimal sign
    has_semicolons = opened.is_text and files.guess_delimiter(files.header(file)) == ";"
    return Columns(file, types, found, localized or has_semicolons, has_semicolons)


def _meanings(headers: list[str]) -> tuple[dict[str, str], bool]:
    # of "Ressourcengruppe (ResourceGroup)" the name in brackets counts first
    named: dict[str, str] = {}
    localized = False
    for header in headers:
        inner = re.search(r"\(([^()]+)\)\s*$", header)
        localized = localized or inner is not None or not header.isascii()
        for name in [values.plain(inner.group(1))] if inner else []:
            named.setdefault(name, header)
        named.setdefault(values.plain(re.sub(r"\([^()]*\)\s*$", "", header)), header)
    found: dict[str, str] = {}
    for field, names in values.synonyms().items():
        column = next((named[name] for name in names if name in named and named[name] not in found.values()), None)
        if column is not None:
            found[field] = column
    return found, localized


def _without_last_columns(db: duckdb.DuckDBPyConnection, file: Path, types: dict[str, str]) -> dict[str, str]:
    """Read again by as many columns as every record has, if they all have the same fewer than the header names.

    A record cut off at the file's end is shorter than the others, and stays unread.
    """
    reasons = [reason for (reason,) in db.execute("select distinct reason from unread").fetchall()]
    found = [re.match(_TOO_FEW, reason) for reason in reasons]
    if len(found) != 1 or found[0] is None or int(found[0][2]) >= len(types):
        return types
    kept = list(types)[: int(found[0][2])]
    columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in kept)
    db.execute("drop view temp.delivery; drop table temp.delivery_text; delete from unread")
    db.execute(
        f"create temp table delivery_text as select * from read_csv({files.path_text(file)}, header = false, skip = 1, auto_detect = false,"
        f" delim = '{files.guess_delimiter(files.header(file))}',"
        f" quote = '\"', escape = '\"', columns = {{{columns}}}, max_line_size = 16777216)"
    )
    first = db.execute("select coalesce(min(rowid), 0) from delivery_text").fetchone()[0]
    db.execute(f"create temp view delivery as select *, rowid - {first - 1} as file_row from delivery_text")
    return dict.fromkeys(kept, "VARCHAR")
