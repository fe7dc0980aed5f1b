"""The tables of the report, ready to be read: the terminal and the page show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb

from tollbook.report import figures
from tollbook.report.formats import UNKNOWN, amount, count, counted, exact, hours, moment, month, rate, ratio, text, total
from tollbook.report.money import BUCKETS, Money

TEAMS_SHOWN = 40
ROWS_SHOWN = 60


@dataclass(frozen=True)
class Column:
    """A column's heading; ``right``: it holds numbers."""

    title: str
    right: bool = True


@dataclass(frozen=True)
class Row:
    """Cells as they are shown; ``role`` is one of "", total, bucket, good, bad, warn."""

    cells: tuple[str, ...]
    role: str = ""


@dataclass
class Table:
    """``empty`` is the sentence that stands for the table when it has no rows; ``notes`` are said below it."""

    name: str
    title: str
    columns: list[Column]
    rows: list[Row]
    empty: str
    caption: str = ""
    notes: list[str] = field(default_factory=list)


def money(of: Money) -> Table:
    """Where the money went: one row per line, one column per billing period, and what share of the charge it is."""
    labels = {
        "billed": "Billed (cash)",
        "effective": "Effective (accrual)",
        "estimated": "+ estimated, bill not in yet",
        "to_charge": "= to charge",
        "parts": "= sum of the parts",
        "difference": "to charge − sum of the parts",
    }
    roles = {"to_charge": "total", "parts": "total", "difference": {True: "good", False: "bad", None: ""}[of.adds_up]}
    rows = []
    for line, values in of.lines.items() if not of.is_empty else ():
        show = exact if line in ("rounding", "difference") else amount
        share = ratio(of.share(line)) if line in of.buckets or line == "parts" else ""
        label = labels.get(line) or BUCKETS.get(line, line)
        rows.append(Row((label, *(show(value) for value in values), share), roles.get(line, "")))
    notes = [of.verdict, "Billed is what was invoiced, effective what the period used; the bridge explains the difference."]
    if of.lines_without_cost:
        notes.append(f"{counted(of.lines_without_cost, 'bill line')} without an effective cost: in no sum of it.")
    if any(value is None for values in of.lines.values() for value in values):
        notes.append(f"{UNKNOWN}: no bill, or nothing charged, in that period.")
    return Table(
        "money",
        f"Where the money went{_in(of.currency)}",
        [Column("", right=False), *(Column(title) for title in of.columns), Column("share of charge")],
        rows,
        "No bill is published yet, so there is no money to follow. Put a bill into the landing folder and run `tollbook run`.",
        "By billing period. Shown to the cent; sums are of unrounded amounts.",
        notes,
    )


def chargeback(db: duckdb.DuckDBPyConnection, of: Money, columns: int = 6) -> list[Table]:
    """Who pays: per billing period shown (newest first) one row per team, one column per component (the largest)."""
    if not any(value is not None for value in of.lines["parts"]):
        empty = "Nothing is charged to anyone yet: there is no cost in finance.fct_chargeback."
        return [Table("chargeback", "Chargeback by team", [], [], empty)]
    return [_chargeback(figures.rows(db, "chargeback", period=period), period, of.currency, columns) for period in of.shown]


def _chargeback(parts: figures.Rows, period: date | None, currency: str | None, columns: int) -> Table:
    weights = {row["component"]: row["component_weight"] for row in parts}
    components = sorted(weights, key=lambda name: (-weights[name], name))
    named = components if len(components) <= columns else components[: columns - 1]
    other = f"{len(components) - len(named)} others"
    titles = [*named, *([other] if len(named) < len(components) else [])]

    teams = list(dict.fromkeys((row["bucket"], row["team"]) for row in parts))
    small = [key for key in teams if key[0] == "allocated"][TEAMS_SHOWN:]
    folded = ("allocated", counted(len(small), "more team"))
    cells: dict[tuple[str, str], dict[str, list]] = {}
    for row in parts:
        key = (row["bucket"], row["team"])
        column = row["component"] if row["component"] in named else other
        cells.setdefault(folded if key in small else key, {}).setdefault(column, []).append(row["charged_cost"])

    def line(label: str, by_column: dict[str, list], role: str) -> Row:
        shown = (amount(total(by_column[title])) if title in by_column else "" for title in titles)
        return Row((label, *shown, amount(total(cost for costs in by_column.values() for cost in costs))), role)

    whole: dict[str, list] = {}
    for by_column in cells.values():
        for title, costs in by_column.items():
            whole.setdefault(title, []).extend(costs)
    rows = [
        line(team if bucket == "allocated" else BUCKETS.get(bucket, bucket), by_column, "" if bucket == "allocated" else "bucket")
        for (bucket, team), by_column in cells.items()
    ]
    return Table(
        f"chargeback-{month(period)}",
        f"Chargeback by team, {month(period)}{_in(currency)}",
        [Column("team", right=False), *(Column(title.replace("_", " ")) for title in titles), Column("total")],
        [*rows, line("total", whole, "total")] if rows else [],
        f"Nothing is charged in {month(period)}.",
        "Teams first, then what no team pays for. An empty cell: nothing of that kind.",
    )


def gpu_costs(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "gpu_costs")
    cells, notes = [], []
    for row in rows:
        layers = ("" if row[f"{layer}_hours"] is None else hours(row[f"{layer}_hours"])
                  for layer in ("held", "idle", "down", "unknown"))
        cells.append(Row((row["gpu_model"], rate(row["held_cost_per_gpu_hour"]), rate(row["all_in_cost_per_gpu_hour"]), *layers)))
        if row["held_hours"] is None:
            notes.append(f"{row['gpu_model']}: nobody held one.")
        if row["unpriced_hours"]:
            why = row["reasons"] or "no reason given"
            notes.append(f"{row['gpu_model']}: {hours(row['unpriced_hours'])} GPU-hours without a cost ({why}).")
    return Table(
        "gpu-costs",
        f"Cost per GPU-hour by GPU model{_in(currency)}",
        [Column("GPU model", right=False), Column("cost per held hour"), Column("all-in per held hour"), Column("held h"),
         Column("idle h"), Column("down h"), Column("unknown h")],
        cells,
        "No GPU hours are published: no capacity or holdings are loaded.",
        f"{_span(rows)}All-in: a held hour also carries idle and down hours. Hours without a cost are in neither.",
        notes,
    )


def token_costs(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "token_costs")
    cells, notes = [], []
    for row in rows:
        cells.append(Row((row["model"], row["provider"], rate(row["cost_per_million_tokens"]), _basis(row),
                          amount(row["full_cost"]), count(row["token_count"]), count(row["request_count"]))))
        if row["unpriced_tokens"]:
            notes.append(f"{row['model']}: {count(row['unpriced_tokens'])} tokens are unpriced ({row['reasons']}).")
        elif row["cost_per_million_tokens"] is None:
            notes.append(f"{row['model']}: {row['reasons'] or 'no tokens were counted'}.")
    return Table(
        "token-costs",
        f"Cost per million tokens by model{_in(currency)}",
        [Column("model", right=False), Column("provider", right=False), Column("per million tokens"),
         Column("basis", right=False), Column("cost"), Column("tokens"), Column("requests")],
        cells,
        "No tokens are published: no model requests are loaded.",
        f"{_span(rows)}Unpriced tokens are in no cost and not in the cost per million.",
        notes,
    )


def _basis(row: dict) -> str:
    parts = {basis: row[f"{basis}_tokens"] for basis in ("billed", "estimated", "unpriced") if row[f"{basis}_tokens"]}
    if len(parts) == 1:
        return next(iter(parts))
    return ", ".join(f"{basis} {ratio(tokens / sum(parts.values()))}" for basis, tokens in parts.items()) or UNKNOWN


def tag_coverage(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "tag_coverage")
    return Table(
        "tag-coverage",
        f"Coverage of required tags{_in(currency)}",
        [Column("month", right=False), Column("tag", right=False), Column("by money"), Column("tagged cost"),
         Column("of cost"), Column("by resource"), Column("resources")],
        [Row((month(row["period"]), row["tag"], ratio(row["coverage_by_cost_ratio"]), amount(row["tagged_cost"]),
              amount(row["total_cost"]), ratio(row["coverage_by_resource_ratio"]),
              f"{count(row['tagged_resources'])} of {count(row['total_resources'])}")) for row in rows],
        "No tag coverage: config/required_tags.csv names no tag, or no bill is loaded.",
        f"{UNKNOWN}: nothing that could carry the tag.",
    )


def proof(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    """Each conservation check: what it compared and what was left. A check that compared nothing proves nothing."""
    cells = []
    for row in figures.rows(db, "proof"):
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
        [Column("what must be equal", right=False), Column("rows compared"), Column("difference"), Column("", right=False),
         Column("verdict", right=False)],
        cells,
        "Nothing is reconciled: no bill is published.",
        "Over everything published; differences add up without their sign, so none hides another.",
    )


def reconciliation(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "reconciliation")
    return Table(
        "reconciliation",
        f"Reconciliation by source and billing period{_in(currency)}",
        [Column("period", right=False), Column("source", right=False), Column("rows delivered"), Column("loaded"),
         Column("quarantined"), Column("rows Δ"), Column("billed"), Column("effective"), Column("allocated"), Column("idle"),
         Column("unowned"), Column("other buckets"), Column("rounding"), Column("cost Δ"), Column("rows compared")],
        [Row((month(row["billing_period"]), text(row["source_name"]),
              *(count(row[name]) for name in ("rows_delivered", "rows_loaded", "rows_quarantined", "rows_delta")),
              *(amount(row[f"{name}_cost"])
                for name in ("billed", "effective", "allocated", "idle", "unowned", "other_bucket")),
              exact(row["rounding_cost"]), exact(row["cost_delta"]), count(row["rows_compared"])),
             "" if row["cost_delta"] == 0 and row["rows_delta"] == 0 else "bad") for row in rows[:ROWS_SHOWN]],
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
        shown = ((exact if term in ("provider_rounding", "rounding", "remainder") else amount)(costs[term]) if term in costs else ""
                 for _, term in terms)
        cells.append(Row((month(period), provider, *shown), "" if costs.get("remainder") == 0 else "bad"))
    return Table(
        "bridge",
        f"Bridge from billed to charged{_in(currency)}",
        [Column("period", right=False), Column("billed by", right=False),
         *(Column(term.replace("_", " ")) for _, term in terms)],
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
        standing = row["stale"] or ("fresh" if row["current_deliveries"] else "nothing loaded")
        cells.append(Row((row["source_name"], text(row["table_name"]), moment(row["delivered_at"]), age,
                          count(row["current_deliveries"]), count(row["rows_loaded"]), count(row["rows_quarantined"]), standing),
                         "warn" if row["stale"] or not row["current_deliveries"] else ""))
    return Table(
        "sources",
        "What arrived, by source",
        [Column("source", right=False), Column("table", right=False), Column("newest delivery", right=False),
         Column("age at publication"), Column("current deliveries"), Column("rows loaded"), Column("in quarantine"),
         Column("standing", right=False)],
        cells,
        "Nothing has arrived yet.",
    )


def failures(db: duckdb.DuckDBPyConnection) -> Table:
    return Table(
        "failures",
        "Deliveries that failed",
        [Column("source", right=False), Column("files", right=False), Column("tried", right=False), Column("why", right=False)],
        [Row((row["source_name"], text(row["files"]), moment(row["tried_at"]), text(row["error"])), "bad")
         for row in figures.rows(db, "failures")],
        "No delivery is waiting to be mended.",
        "What was loaded before stands until they load.",
    )


def quarantine(db: duckdb.DuckDBPyConnection) -> Table:
    return Table(
        "quarantine",
        "Rows in quarantine",
        [Column("source", right=False), Column("column", right=False), Column("reason", right=False), Column("rows"),
         Column("for example", right=False), Column("its value", right=False)],
        [Row((text(row["source_name"]), text(row["column_name"]), text(row["reason"]), count(row["row_count"]),
              f"{row['file_name']}, row {row['file_row']}", text(row["value"])), "warn")
         for row in figures.rows(db, "quarantine")],
        "No row is in quarantine.",
    )


def checks(db: duckdb.DuckDBPyConnection) -> Table:
    counts = {row["status"]: row["check_count"] for row in figures.rows(db, "check_counts")}
    said = ", ".join(f"{count(number)} {status}" for status, number in counts.items())
    return Table(
        "checks",
        "Checks that warn",
        [Column("status", right=False), Column("check", right=False), Column("of", right=False), Column("observed"),
         Column("limit", right=False), Column("rows seen"), Column("message", right=False)],
        [Row((row["status"], row["check_id"], text(row["subject"]), UNKNOWN if row["observed"] is None else f"{row['observed']:,.6g}",
              text(row["threshold"]), count(row["rows_seen"]), text(row["message"])),
             "bad" if row["status"] == "error" else "warn") for row in figures.rows(db, "checks")],
        f"Every check passed ({counted(sum(counts.values()), 'check')})." if counts else "No check has run, so nothing is known to be right.",
        f"Of the newest run: {said}." if counts else "",
    )


def _in(currency: str | None) -> str:
    return f" ({currency})" if currency else ""


def _span(rows: figures.Rows) -> str:
    """The days that the rows are about."""
    if not rows:
        return ""
    first, last = min(row["first_date"] for row in rows), max(row["last_date"] for row in rows)
    return f"{first}. " if first == last else f"{first} to {last}. "


def _more(rows: Sequence, mart: str) -> list[str]:
    hidden = len(rows) - ROWS_SHOWN
    return [f"{counted(hidden, 'more row')}: tollbook query \"select * from {mart}\""] if hidden > 0 else []
