"""The last edge, on the bills themselves: what they promise each other, they must keep."""

from __future__ import annotations

import duckdb

from tollbook.quality import query
from tollbook.quality.gates import Gates
from tollbook.quality.results import Measure, exact, nothing, number


def unsettled_commitments(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    """Commitments whose term is over and whose usage does not cost what they were bought for."""
    measures = []
    for row in query.run(db, "unsettled_commitments"):
        found = f"{row.unsettled} of {number(row.commitments, 'commitment')} over and not settled"
        if row.unsettled:
            found += f", worst {row.worst_id}: {row.worst_open_cost:,.2f} {row.currency_code} paid and not amortised"
        measures.append(
            Measure(
                "unsettled_commitments",
                row.billed_by,
                found,
                "Deliver the bills of its whole term; finance.fct_commitments shows what is there.",
                row.commitments,
                float(row.unsettled),
                gates.unsettled_commitments.limits(row.unsettled),
            )
        )
    return measures


def untied_invoices(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    """Invoices whose lines do not add up to them."""
    gate, measures = gates.invoice_delta, []
    for row in query.run(db, "invoices", **gate.parameters()):
        if row.differing:
            found = (
                f"{row.differing} of {number(row.invoices, 'invoice')} do not tie out, most {row.worst_invoice} ({row.worst_status}):"
                f" {exact(row.worst_delta)} {row.worst_currency}"
            )
        else:
            found = f"{number(row.invoices, 'invoice')} tie out, {number(row.rows_compared, 'row')} compared"
        measures.append(
            Measure(
                "invoice_delta",
                row.invoice_issuer_name,
                found,
                "finance.fct_invoice_differences names what misses, line by line. Ask the issuer for it, or deliver the bill or invoice.",
                row.rows_compared,
                float(row.differing),
                gate.counted(row.beyond_warn, row.beyond_error),
                expects_rows=True,
            )
        )
    return measures or nothing("invoice_delta", "finance.fct_invoice_tie_out", "no invoices to tie out")


def unmatched_usage(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    """What of a vendor's cost the log of requests and the vendor's own count do not agree on."""
    measures = []
    for row in query.run(db, "unmatched_usage"):
        found = f"{number(row.rows_compared, 'model-day')} of {row.usage_month:%Y-%m} compared, {row.unmatched_rows} do not match"
        if row.unmatched_rows:
            found += f": {row.unmatched_cost or 0:,.2f} {row.currency_code} unmatched"
            if row.worst_cost:
                found += f", most {row.worst} on {row.worst_date}"
        if row.unpriced_rows:
            found += f"; {number(row.unpriced_rows, 'row')} without a price"
        measures.append(
            Measure(
                "unmatched_usage_ratio",
                row.provider_name,
                found,
                "quality.fct_usage_tie_out says where, quality.fct_missing_requests which or how many requests. Deliver what lacks.",
                row.rows_compared,
                row.unmatched_ratio,
                gates.unmatched_usage_ratio.limits(row.unmatched_ratio),
            )
        )
    return measures or nothing("unmatched_usage_ratio", "quality.fct_usage_tie_out", "no vendor's usage to tie out")
