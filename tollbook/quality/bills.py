"""The last edge, on the bills themselves: what they promise each other, they must keep."""

from __future__ import annotations

import duckdb

from tollbook.quality import query
from tollbook.quality.gates import Gates
from tollbook.quality.results import Measure, number


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
