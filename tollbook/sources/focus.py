"""FOCUS cost and usage exports, versions 1.0 to 1.3, as canonical ``billing_lines``.

Quirks of real exports: the words NULL, null and (null) stand for nothing; money may be text with a currency sign and
thousands commas; times may lack a zone (UTC then) or be US dates; files name a subset of the columns, in any order and
case; from 1.3 on ServiceProviderName replaces ProviderName. Columns that FOCUS does not name are kept as JSON.
Source: the FOCUS specification's column definitions, https://focus.finops.org.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source, canonical_tables

_NOTHING = ("", "null", "(null)")


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    ``currency`` (the source's, else the workspace's) is taken where the file has no BillingCurrency, and marked so.

    Raises:
        DeliveryError: unreadable file, a delimiter that is not a comma, or a required column missing.
    """
    opened = files.open_delivery(db, file, all_text=True)
    canonical = {_plain(name): name for name in canonical_tables()["billing_lines"]["columns"]}
    by_name = {canonical[_plain(column)]: column for column in opened.columns if _plain(column) in canonical}
    _refuse_without_required(file, by_name, opened.is_text)

    parts = [f"{_cleaned(column, opened.columns[column])} as {name}" for name, column in by_name.items()]
    if "billing_currency" in by_name:
        cleaned = _cleaned(by_name["billing_currency"], opened.columns[by_name["billing_currency"]])
        parts = [part for part in parts if not part.endswith(" as billing_currency")]
        parts.append(f"coalesce(upper({cleaned}), {text(currency)}) as billing_currency")
        parts.append(f"case when {cleaned} is null then 'assumed' else 'delivered' end as currency_origin")
    else:
        parts.append(f"{text(currency)} as billing_currency")
        parts.append("'assumed' as currency_origin")
    others = [column for column in opened.columns if column not in by_name.values()]
    if others:
        pairs = ", ".join(f"{text(column)}, {quoted(column)}" for column in others)
        parts.append(f"json_object({pairs})::varchar as other_columns")
    return f"select {', '.join(parts)}, file_row from delivery"


def _refuse_without_required(file: Path, by_name: dict[str, str], is_text: bool) -> None:
    wanted = canonical_tables()["billing_lines"]["columns"]
    missing = [
        name
        for name, column in wanted.items()
        if column.get("required") and name not in by_name and name not in ("billing_currency", "currency_origin")
    ]
    if not missing:
        return
    hint = ""
    if is_text:
        found = files.guess_delimiter(files.header(file))
        if found != ",":
            hint = f" The header looks {files.delimiter_name(found)}-delimited; FOCUS CSV is comma-delimited."
    names = ", ".join("".join(word.capitalize() for word in name.split("_")) for name in missing)
    raise DeliveryError(
        f"{file.name}: required column missing: {names}.{hint} Export it again with these columns; nothing of it was loaded."
    )


def _plain(name: str) -> str:
    return name.replace("_", "").replace(" ", "").casefold()


def _cleaned(column: str, delivered: str) -> str:
    if delivered != "VARCHAR":
        return quoted(column)
    nothing = ", ".join(text(word) for word in _NOTHING)
    return f"case when lower(trim({quoted(column)})) not in ({nothing}) then {quoted(column)} end"
