"""Chargeback as it was known at a moment: macros of the published file, and the table that the command prints."""

from __future__ import annotations

from datetime import date

import duckdb

from tollbook.finance.moments import Moment
from tollbook.finance.trial_balance import BALANCES
from tollbook.report.formats import amount, month, total
from tollbook.report.money import BUCKETS
from tollbook.report.tables import Column, Row, Table, in_currency
from tollbook.warehouse.records import records

#: What charges are told apart by; what no team pays for stays apart.
DIMENSIONS = {
    "team": ("team", "bucket"),
    "cost_centre": ("cost_centre", "bucket"),
    "component": ("component",),
    "bucket": ("bucket",),
    "tenant": ("tenant",),
}

_CHARGED_BY = "usage_period, billing_period, billed_by, source_name, team, cost_centre, bucket, component, basis"
#: Table macros by name, in the order in which they build on each other. The newest moment gives the marts themselves.
MACROS = {
    "postings_as_of": "select * from finance.fct_postings where recorded_at <= known_at::timestamp",
    "chargeback_days_as_of": (
        f"select usage_date, {_CHARGED_BY},"
        " sum(posted_cost)::decimal(38, 12) as charged_cost, currency_code"
        " from finance.postings_as_of(known_at) where bucket is not null group by all having sum(posted_cost) <> 0"
    ),
    "chargeback_as_of": (
        f"select {_CHARGED_BY},"
        " sum(charged_cost)::decimal(38, 12) as charged_cost, currency_code"
        " from finance.chargeback_days_as_of(known_at) group by all having sum(charged_cost) <> 0"
    ),
    "trial_balance_as_of": BALANCES.format(postings="finance.postings_as_of(known_at)"),
}


def create_macros(db: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Make ``finance.<name>(known_at)`` for each of ``MACROS`` in an attached file; ``known_at`` is a moment in UTC."""
    (here,) = db.execute("select current_catalog()").fetchone()
    # names in a macro are those of the file that is open
    db.execute(f'use "{catalog}"')
    try:
        for name, query in MACROS.items():
            db.execute(f"create or replace macro finance.{name}(known_at) as table {query}")
    finally:
        db.execute(f'use "{here}"')


def chargeback(
    db: duckdb.DuckDBPyConnection, known_at: Moment, by: str = "team", period: date | None = None, accounting: bool = False
) -> list[dict]:
    """What was charged as known at a moment: a row per month and payer, largest first, teams before buckets.

    The month is that of usage (``usage_period``), or with ``accounting`` the one it was posted in (``accounting_period``).
    """
    name = "accounting_period" if accounting else "usage_period"
    keys = ", ".join(DIMENSIONS[by])
    last = "bucket <> 'allocated'," if "bucket" in DIMENSIONS[by] else ""
    return records(
        db,
        f"""
        with posted as (
            select *, date_trunc('month', usage_date)::date as usage_period from ledger.postings
            where bucket is not null and recorded_at <= $known_at
        ),

        charged as (
            select {name}, {keys}, sum(posted_cost)::decimal(38, 12) as charged_cost, currency_code from posted
            where $period is null or {name} = $period::date
            group by all having sum(posted_cost) <> 0
        )

        from charged order by {name}, {last} charged_cost desc, {keys}, currency_code
        """,
        {"known_at": known_at.at, "period": period},
    )


def table(found: list[dict], known_at: Moment, by: str) -> Table:
    """The rows of ``chargeback`` as a table of the report."""
    name = "accounting_period" if found and "accounting_period" in found[0] else "usage_period"
    codes = sorted({row["currency_code"] for row in found})
    cells = [
        Row(
            (month(row[name]), label(row, by), amount(row["charged_cost"])),
            "" if row.get("bucket", "allocated") == "allocated" else "bucket",
        )
        for row in found
    ]
    if len(codes) == 1:
        cells.append(Row(("total", "", amount(total(row["charged_cost"] for row in found))), "total"))
    return Table(
        "chargeback-as-of",
        f"Chargeback as known at {known_at}{in_currency(', '.join(codes))}",
        [Column(name.replace("_", " "), right=False), Column(by.replace("_", " "), right=False), Column("charged")],
        cells,
        f"Nothing was charged as known at {known_at}. `tollbook ledger runs` lists when something was recorded.",
        "By the month it was posted in." if name == "accounting_period" else "By month of usage, in whatever month it was posted.",
        [
            *(["That moment is ahead: more may be recorded until then."] if known_at.is_ahead else []),
            *(["Each amount is rounded by itself; statements share the last coin out, so that they add up."] if found else []),
        ],
    )


def label(row: dict, by: str) -> str:
    """Who pays, or what it is."""
    if row.get("bucket", "allocated") != "allocated" or by == "bucket":
        return BUCKETS.get(row["bucket"], row["bucket"])
    return row[by] or "(none)"
