"""The tables of the report, ready to be read: the terminal and the page show the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import duckdb

from tollbook.report import figures
from tollbook.report.formats import (
    UNKNOWN,
    amount,
    count,
    counted,
    exact,
    hours,
    month,
    rate,
    ratio,
    total,
)
from tollbook.report.money import BUCKETS, Money

TEAMS_SHOWN = 40
#: Hours of the table of GPU costs; `unseen` is part of `held`.
_LAYERS = ("held", "unseen", "idle", "down", "stranded", "unknown")


@dataclass(frozen=True)
class Column:
    """A column's heading; ``right``: it holds numbers."""

    title: str
    right: bool = True


def headings(*titles: str) -> list[Column]:
    """Columns by their headings; one that begins with ``<`` holds text, not numbers."""
    return [Column(title.removeprefix("<"), right=not title.startswith("<")) for title in titles]


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
        if line == "difference":
            share = {True: "adds up", False: "DOES NOT ADD UP", None: ""}[of.adds_up]
        label = labels.get(line) or BUCKETS.get(line, line)
        rows.append(Row((label, *(show(value) for value in values), share), roles.get(line, "")))
    notes = [
        of.verdict,
        *(["Teams and buckets are after shared costs moved; each rule's part is under shared and kept money."] if of.is_shared else []),
        "Billed is what was invoiced, effective what the period used; the bridge explains the difference.",
    ]
    if of.lines_without_cost:
        notes.append(f"{counted(of.lines_without_cost, 'bill line')} without an effective cost: in no sum of it.")
    if any(value is None for values in of.lines.values() for value in values):
        notes.append(f"{UNKNOWN}: no bill, or nothing charged, in that period.")
    return Table(
        "money",
        f"Where the money went{in_currency(of.currency)}",
        [Column("", right=False), *(Column(title) for title in of.columns), Column("share of charge")],
        rows,
        "No bill is published yet, so there is no money to follow. Put one into landing/ and run `tollbook run`.",
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
        line(
            team if bucket == "allocated" else BUCKETS.get(bucket, bucket),
            by_column,
            "" if bucket == "allocated" else "bucket",
        )
        for (bucket, team), by_column in cells.items()
    ]
    return Table(
        f"chargeback-{month(period)}",
        f"Chargeback by team, {month(period)}{in_currency(currency)}",
        [Column("team", right=False), *(Column(title.replace("_", " ")) for title in titles), Column("total")],
        [*rows, line("total", whole, "total")] if rows else [],
        f"Nothing is charged in {month(period)}.",
        "Teams first, then what no team pays for. An empty cell: nothing of that kind.",
        ["Markup is what internal prices add to cost; where the money went has none of it."] if "markup" in weights else [],
    )


def shared(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    """What each rule of cost_sharing.csv shared out, and what was kept and why."""
    rows = figures.rows(db, "shared")
    cells = [
        Row(
            (
                row["rule_id"],
                row["shared_cost_of"],
                f"{row['step']}",
                row["method"].replace("_", " ") + ("" if row["within"] == "everything" else f" within {row['within']}"),
                amount(row["shared_cost"]),
                count(row["receivers"]),
                amount(row["kept_cost"]),
                (row["kept_reasons"] or "").replace("_", " "),
            )
        )
        for row in rows
    ]
    return Table(
        "shared",
        f"Shared and kept money{in_currency(currency)}",
        headings("<rule", "<cost", "step", "<how", "shared out", "to teams", "kept", "<why kept"),
        cells,
        "Nothing is shared out: no rule of config/cost_sharing.csv found a cost on the days published.",
        f"{_span(rows)}A later step also shares what an earlier one gave, so rules do not add up to one sum.",
    )


def gpu_costs(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "gpu_costs")
    cells, notes = [], []
    # terminals are narrow: what is nowhere needs no column
    shown = [layer for layer in _LAYERS if layer in ("held", "idle") or any(row[f"{layer}_hours"] for row in rows)]
    for row in rows:
        layers = ("" if row[f"{layer}_hours"] is None else hours(row[f"{layer}_hours"]) for layer in shown)
        costs = (rate(row["held_cost_per_gpu_hour"]), rate(row["all_in_cost_per_gpu_hour"]))
        cells.append(Row((row["gpu_model"], *costs, ratio(row["productive_ratio"]), *layers)))
        if row["held_hours"] is None:
            notes.append(f"{row['gpu_model']}: nobody held one.")
        if row["unpriced_hours"]:
            why = row["reasons"] or "no reason given"
            notes.append(f"{row['gpu_model']}: {hours(row['unpriced_hours'])} GPU-hours without a cost ({why}).")
    return Table(
        "gpu-costs",
        f"Cost per GPU-hour by GPU model{in_currency(currency)}",
        [
            Column("GPU model", right=False),
            Column("cost per held hour"),
            Column("all-in per held hour"),
            Column("at work"),
            *(Column(f"{layer} h") for layer in shown),
        ],
        cells,
        "No GPU hours are published: no capacity or holdings are loaded.",
        f"{_span(rows)}All-in: a held hour also carries idle, down and stranded hours. Hours without a cost are in neither."
        " At work: the productive share of the held hours that samples saw; unseen: the held hours without any.",
        notes,
    )


def token_costs(db: duckdb.DuckDBPyConnection, currency: str | None) -> Table:
    rows = figures.rows(db, "token_costs")
    cells, notes = [], []
    for row in rows:
        cells.append(
            Row(
                (
                    row["model"],
                    row["provider"],
                    rate(row["cost_per_million_tokens"]),
                    _basis(row),
                    amount(row["full_cost"]),
                    count(row["token_count"]),
                    count(row["request_count"]),
                )
            )
        )
        if row["unpriced_tokens"]:
            notes.append(f"{row['model']}: {count(row['unpriced_tokens'])} tokens are unpriced ({row['reasons']}).")
        elif row["cost_per_million_tokens"] is None:
            notes.append(f"{row['model']}: {row['reasons'] or 'no tokens were counted'}.")
    return Table(
        "token-costs",
        f"Cost per million tokens by model{in_currency(currency)}",
        headings("<model", "<provider", "per million tokens", "<basis", "cost", "tokens", "requests"),
        cells,
        "No tokens are published: no model requests are loaded.",
        f"{_span(rows)}Unpriced tokens are not in the cost per million; of their cost only what is known is shown.",
        notes,
    )


def _basis(row: dict) -> str:
    parts = {basis: row[f"{basis}_tokens"] for basis in ("billed", "estimated", "unpriced") if row[f"{basis}_tokens"]}
    if len(parts) == 1:
        return next(iter(parts))
    return ", ".join(f"{basis} {ratio(tokens / sum(parts.values()))}" for basis, tokens in parts.items()) or UNKNOWN


def in_currency(currency: str | None) -> str:
    """What a title says of its amounts."""
    return f" ({currency})" if currency else ""


def _span(rows: figures.Rows) -> str:
    """The days that the rows are about."""
    if not rows:
        return ""
    first, last = min(row["first_date"] for row in rows), max(row["last_date"] for row in rows)
    return f"{first}. " if first == last else f"{first} to {last}. "
