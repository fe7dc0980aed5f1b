"""The tables that say how far to trust a number: what arrived, what failed, what the checks saw, and what ties."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from tollbook.report import figures
from tollbook.report.formats import UNKNOWN, amount, count, counted, exact, moment, month, observed, ratio, text
from tollbook.report.tables import Column, Row, Table, headings, in_currency

ROWS_SHOWN = 60


def tag_coverage(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "tag_coverage")
    return Table(
        "tag-coverage",
        f"Coverage of required tags{in_currency(currency)}",
        headings("<month", "<tag", "by money", "tagged cost", "of cost", "by resource", "resources"),
        [
            Row(
                (
                    month(row["period"]),
                    row["tag"],
                    ratio(row["coverage_by_cost_ratio"]),
                    amount(row["tagged_cost"]),
                    amount(row["total_cost"]),
                    ratio(row["coverage_by_resource_ratio"]),
                    f"{count(row['tagged_resources'])} of {count(row['total_resources'])}",
                )
            )
            for row in rows
        ],
        "No tag coverage: config/required_tags.csv names no tag, or no bill is loaded.",
        f"Money without its sign, so that a credit hides nothing. {UNKNOWN}: nothing could carry the tag.",
    )


def proof(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    """Each conservation check: what it compared and what was left. A check that compared nothing proves nothing."""
    cells = []
    for row in (*figures.rows(db, "proof"), *figures.rows(db, "proof_ledger")):
        if not row["rows_compared"]:
            verdict, role = "compared nothing: proves nothing", "bad"
        elif row["unknown"]:
            verdict, role = f"{count(row['unknown'])} not known", "bad"
        else:
            verdict, role = ("ties", "good") if row["difference"] == 0 else ("DOES NOT TIE", "bad")
        left = count(row["difference"]) if row["unit"] == "row" else exact(row["difference"])
        unit = "rows" if row["unit"] == "row" else currency or ""
        cells.append(Row((row["said"], count(row["rows_compared"]), left, unit, verdict), role))
    return Table(
        "proof",
        "Proof: reconciliation delta and bridge remainder",
        headings("<what must be equal", "rows compared", "difference", "<", "<verdict"),
        cells,
        "Nothing is reconciled: no bill is published.",
        "Over everything published; differences add up without their sign, so none hides another.",
    )


def reconciliation(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "reconciliation")
    return Table(
        "reconciliation",
        f"Reconciliation by source and billing period{in_currency(currency)}",
        headings(
            "<period",
            "<source",
            "rows delivered",
            "loaded",
            "quarantined",
            "rows Δ",
            "billed",
            "effective",
            "allocated",
            "idle",
            "unowned",
            "other buckets",
            "rounding",
            "cost Δ",
            "rows compared",
        ),
        [
            Row(
                (
                    month(row["billing_period"]),
                    text(row["source_name"]),
                    *(count(row[name]) for name in ("rows_delivered", "rows_loaded", "rows_quarantined", "rows_delta")),
                    *(amount(row[f"{name}_cost"]) for name in ("billed", "effective", "allocated", "idle", "unowned", "other_bucket")),
                    exact(row["rounding_cost"]),
                    exact(row["cost_delta"]),
                    count(row["rows_compared"]),
                ),
                "" if row["cost_delta"] == 0 and row["rows_delta"] == 0 else "bad",
            )
            for row in rows[:ROWS_SHOWN]
        ],
        "Nothing is reconciled: no bill is published.",
        "The newest three months, and every older one that does not tie.",
        _more(rows, "quality.fct_reconciliation"),
    )


def bridge(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    """From billed to charged: one row per billing period and provider, one column per term."""
    rows = figures.rows(db, "bridge")
    terms = sorted({(row["term_order"], row["term"]) for row in rows})
    lines: dict[tuple, dict] = {}
    for row in rows:
        lines.setdefault((row["billing_period"], row["billed_by"]), {})[row["term"]] = row["cost"]
    cells = []
    for (period, provider), costs in lines.items():
        shown = (
            (exact if term in ("provider_rounding", "rounding", "remainder") else amount)(costs[term]) if term in costs else ""
            for _, term in terms
        )
        cells.append(Row((month(period), provider, *shown), "" if costs.get("remainder") == 0 else "bad"))
    return Table(
        "bridge",
        f"Bridge from billed to charged{in_currency(currency)}",
        [
            Column("period", right=False),
            Column("billed by", right=False),
            *(Column(term.replace("_", " ")) for _, term in terms),
        ],
        cells[:ROWS_SHOWN],
        "There is no bridge: no bill is published.",
        "The newest three months, and every older one with a remainder. The remainder must be 0.00.",
        _more(cells, "quality.fct_bridge"),
    )


def sources(db: duckdb.DuckDBPyConnection) -> Table:
    rows = figures.rows(db, "sources")
    cells = []
    for row in rows:
        age = UNKNOWN if row["age_days"] is None else f"{row['age_days']:,.1f} d"
        standing = row["freshness"] or "its freshness was not checked"
        if not row["current_deliveries"]:
            standing = "nothing of it is loaded"
        cells.append(
            Row(
                (
                    row["source_name"],
                    text(row["table_name"]),
                    moment(row["delivered_at"]),
                    age,
                    count(row["current_deliveries"]),
                    count(row["rows_loaded"]),
                    count(row["rows_quarantined"]),
                    standing,
                ),
                "warn" if row["is_stale"] or not row["current_deliveries"] else "",
            )
        )
    return Table(
        "sources",
        "What arrived, by source",
        headings(
            "<source",
            "<table",
            "<newest delivery",
            "age at publication",
            "current deliveries",
            "rows loaded",
            "in quarantine",
            "<how fresh",
        ),
        cells,
        "Nothing has arrived yet.",
    )


def failures(db: duckdb.DuckDBPyConnection) -> Table:
    return Table(
        "failures",
        "Deliveries that failed",
        headings("<source", "<files", "<tried", "<why"),
        [
            Row((row["source_name"], text(row["files"]), moment(row["tried_at"]), text(row["error"])), "bad")
            for row in figures.rows(db, "failures")
        ],
        "No delivery is waiting to be mended.",
        "What was loaded before stands until they load.",
    )


def quarantine(db: duckdb.DuckDBPyConnection) -> Table:
    return Table(
        "quarantine",
        "Rows in quarantine",
        headings("<source", "<column", "<reason", "rows", "<for example", "<its value"),
        [
            Row(
                (
                    text(row["source_name"]),
                    text(row["column_name"]),
                    text(row["reason"]),
                    count(row["row_count"]),
                    f"{row['file_name']}, row {row['file_row']}",
                    text(row["value"]),
                ),
                "warn",
            )
            for row in figures.rows(db, "quarantine")
        ],
        "No row is in quarantine.",
    )


def checks(db: duckdb.DuckDBPyConnection, brief: bool = False) -> Table:
    """What did not pass; ``brief`` leaves out what the message says anyway."""
    counts = {row["status"]: row["check_count"] for row in figures.rows(db, "check_counts")}
    said = ", ".join(f"{count(number)} {status}" for status, number in counts.items())
    seen_of = () if brief else ("observed", "<limit", "rows seen")
    cells = []
    for row in figures.rows(db, "checks"):
        seen = () if brief else (observed(row["observed"]), text(row["threshold"]), count(row["rows_seen"]))
        role = "bad" if row["status"] == "error" else "warn"
        cells.append(Row((row["status"], row["check_id"], text(row["subject"]), *seen, text(row["message"])), role))
    return Table(
        "checks",
        "Checks that warn",
        headings("<status", "<check", "<of", *seen_of, "<message"),
        cells,
        f"Every check passed ({counted(sum(counts.values()), 'check')})."
        if counts
        else "No check has run, so nothing is known to be right.",
        f"Of the newest run: {said}." if counts else "",
    )


def _more(rows: Sequence, mart: str) -> list[str]:
    hidden = len(rows) - ROWS_SHOWN
    return [f'{counted(hidden, "more row")}: tollbook query "select * from {mart}"'] if hidden > 0 else []
