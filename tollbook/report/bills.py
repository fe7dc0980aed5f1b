"""The tables on the bills themselves: which invoices tie out, and what commitments were worth."""

from __future__ import annotations

import duckdb

from tollbook.report import figures
from tollbook.report.formats import UNKNOWN, amount, counted, exact, month, ratio, text
from tollbook.report.tables import Row, Table, headings, in_currency

ROWS_SHOWN = 40
_ROLES = {"tied": "good", "open": "", "differs": "bad", "no_lines": "bad", "no_invoice": "warn"}


def invoices(db: duckdb.DuckDBPyConnection) -> Table:
    """Each invoice beside its lines, in its own currency."""
    found = figures.rows(db, "invoices")
    return Table(
        "invoices",
        "Invoices and their lines",
        headings("<period", "<issuer", "<invoice", "invoiced", "lines", "rounding", "difference", "<", "<verdict"),
        [
            Row(
                (
                    month(row["billing_period"]),
                    text(row["invoice_issuer_name"]),
                    text(row["invoice_id"]),
                    *(amount(row[f"{name}_cost"]) for name in ("invoiced", "lines")),
                    *(exact(row[f"{name}_cost"]) for name in ("rounding", "delta")),
                    text(row["billing_currency"]),
                    row["status"].replace("_", " "),
                ),
                _ROLES.get(row["status"], ""),
            )
            for row in found[:ROWS_SHOWN]
        ],
        "No invoice is loaded and no bill names one: add a source with `table: invoices`.",
        "To the cent, in the invoice's currency. finance.fct_invoice_differences names what misses, line by line.",
        _more(found),
    )


def commitments(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    """What was committed to, what of it was used, and what that saved."""
    found = figures.rows(db, "commitments")
    return Table(
        "commitments",
        f"Commitments{in_currency(currency)}",
        headings("<billed by", "<commitment", "<paid", "bought", "used", "unused", "still open", "utilised", "break-even at", "saved", "<"),
        [
            Row(
                (
                    text(row["billed_by"]),
                    text(row["commitment_id"]),
                    text(row["payment_model"]),
                    *(amount(row[f"{name}_cost"]) for name in ("purchased", "used", "unused", "open")),
                    ratio(row["utilisation_ratio"]),
                    ratio(row["break_even_ratio"]),
                    amount(row["saving_cost"]),
                    row["status"].replace("_", " "),
                ),
                "bad" if row["status"] == "unsettled" else "",
            )
            for row in found[:ROWS_SHOWN]
        ],
        "No commitment is on any bill.",
        f"Saved: against list prices; {UNKNOWN} where a covered line states none. Open: bought and not yet used up or lapsed.",
        _more(found),
    )


def _more(found: figures.Rows) -> list[str]:
    left = len(found) - ROWS_SHOWN
    return [f"and {counted(left, 'more row')}; those are in the published file."] if left > 0 else []
