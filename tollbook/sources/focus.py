"""FOCUS cost and usage exports, versions 1.0 to 1.4, as canonical ``billing_lines``.

Quirks of real exports: the words NULL, null and (null) stand for nothing; money may be text with a currency sign and
thousands commas; times may lack a zone (UTC then) or be US dates; files name a subset of the columns, in any order and
case; from 1.3 on ServiceProviderName replaces ProviderName. 1.4 adds InvoiceDetailId; a ReferenceInvoiceId that names the
line's own invoice refers to none. Columns that have no canonical place are kept as JSON.
Source: the FOCUS specification's column definitions, https://focus.finops.org.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import files
from tollbook.sources.focus_dataset import cleaned, plain, refuse_missing
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source, canonical_tables


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    ``currency`` (the source's, else the workspace's) is taken where the file has no BillingCurrency, and marked so.

    Raises:
        DeliveryError: unreadable file, a delimiter that is not a comma, or a required column missing.
    """
    opened = files.open_delivery(db, file, all_text=True)
    canonical = {plain(name): name for name in canonical_tables()["billing_lines"]["columns"]}
    by_name = {canonical[plain(column)]: column for column in opened.columns if plain(column) in canonical}
    _refuse_without_required(file, by_name, opened.is_text)

    parts = {name: cleaned(column, opened.columns[column]) for name, column in by_name.items()}
    delivered = parts.get("billing_currency")
    parts["billing_currency"] = f"coalesce(upper(trim({delivered})), {text(currency)})" if delivered else text(currency)
    parts["currency_origin"] = f"case when {delivered} is null then 'assumed' else 'delivered' end" if delivered else "'assumed'"
    if "reference_invoice_id" in parts and "invoice_id" in parts:
        parts["reference_invoice_id"] = f"nullif({parts['reference_invoice_id']}, {parts['invoice_id']})"
    others = [column for column in opened.columns if column not in by_name.values()]
    if others:
        pairs = ", ".join(f"{text(column)}, {quoted(column)}" for column in others)
        parts["other_columns"] = f"json_object({pairs})::varchar"
    columns = ", ".join(f"{value} as {name}" for name, value in parts.items())
    return f"select {columns}, file_row from delivery"


def _refuse_without_required(file: Path, by_name: dict[str, str], is_text: bool) -> None:
    wanted = canonical_tables()["billing_lines"]["columns"]
    missing = [
        name
        for name, column in wanted.items()
        if column.get("required") and name not in by_name and name not in ("billing_currency", "currency_origin")
    ]
    refuse_missing(file, ["".join(word.capitalize() for word in name.split("_")) for name in missing], is_text)
