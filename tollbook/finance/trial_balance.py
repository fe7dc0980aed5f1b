"""The trial balance: what was debited and credited to each account, as known at any moment. It adds up to 0."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import duckdb

from tollbook.report.formats import amount, month
from tollbook.report.tables import Column, Row, Table
from tollbook.warehouse.records import records

#: The columns of ``finance.fct_trial_balance`` from any ``{postings}``.
BALANCES = """
select
    accounting_period, account, billed_by, billing_period, invoice_id, commitment_id,
    coalesce(sum(posted_cost) filter (where posted_cost > 0), 0)::decimal(38, 12) as debit_cost,
    coalesce(-sum(posted_cost) filter (where posted_cost < 0), 0)::decimal(38, 12) as credit_cost,
    sum(posted_cost)::decimal(38, 12) as balance_cost, currency_code
from {postings}
group by all
"""
_AMOUNTS = ("debit_cost", "credit_cost", "balance_cost")


def balances(db: duckdb.DuckDBPyConnection, known_at: datetime, period: date | None = None) -> list[dict]:
    """The columns of ``finance.fct_trial_balance``, of one accounting period or of all, from what was posted until ``known_at``."""
    known = "(from ledger.postings where recorded_at <= $known_at and accounting_period = coalesce($period, accounting_period))"
    return records(db, f"{BALANCES.format(postings=known)} order by all", {"known_at": known_at, "period": period})


def table(found: list[dict], known_at: str, currency: str) -> Table:
    """The balances as a table of the report, with their sum."""
    cells = [
        Row(
            (
                month(row["accounting_period"]),
                row["account"],
                row["billed_by"] or "",
                month(row["billing_period"]),
                row["invoice_id"] or row["commitment_id"] or "",
                *(amount(row[name]) for name in _AMOUNTS),
            )
        )
        for row in found
    ]
    sums = [sum((row[name] for row in found), Decimal(0)) for name in _AMOUNTS]
    if cells:
        cells.append(Row(("all", "", "", "", "", *map(amount, sums)), "total"))
    return Table(
        "trial-balance",
        f"Trial balance in {currency}",
        [
            *(Column(name, right=False) for name in ("period", "account", "billed by", "bill of", "invoice or commitment")),
            *(Column(name) for name in ("debit", "credit", "balance")),
        ],
        cells,
        "Nothing was posted.",
        f"As known at {known_at}.",
    )
