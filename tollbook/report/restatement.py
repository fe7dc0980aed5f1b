"""The restatement report: what was known at two moments and why it differs, as tables, as records and as one document."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tollbook.finance.as_of import DIMENSIONS, label
from tollbook.finance.currencies import coins
from tollbook.finance.restatement import Restatement
from tollbook.report.formats import UNKNOWN, amount, count, counted, moment, month, plain, total
from tollbook.report.tables import Column, Row, Table, headings, in_currency

#: What the reasons of postings mean, beside a restatement.
REASONS = {
    "usage": "usage",
    "late_bill": "late bill",
    "correction": "correction",
    "rule_change": "rule change",
    "method_change": "method change",
    "true_up": "true-up",
    "accrual_reversal": "accrual reversal",
}
#: Files named for a cause in the terminal; all of them are in the JSON form.
_SHOWN = 6


def tables(of: Restatement) -> list[Table]:
    """What a person reads: payers by cause, the causes with what is behind them, disputes."""
    return [_lines(of), _causes(of), *(table for table in (_rules(of), _disputes(of), _periods(of)) if table.rows)]


def records(of: Restatement) -> list[dict]:
    """Rows for a spreadsheet: per month of usage and payer what was known before, each change, and what is known after.

    ``entry`` tells them apart; known_before and the changes add up to known_after.
    """
    result = []
    for line in of.lines:
        who = {name: line[name] for name in ("usage_period", *DIMENSIONS[of.by])}
        changes = [row for row in of.changes if _same(row, line, of.by)]
        for entry, cost, reason, posted_in in (
            ("known_before", line["known_before"], None, None),
            *(("change", row["posted_cost"], row["reason"], row["accounting_period"]) for row in changes),
            ("known_after", line["known_after"], None, None),
        ):
            result.append(
                who
                | {"entry": entry, "reason": reason, "accounting_period": posted_in, "charged_cost": cost}
                | {"currency_code": line["currency_code"]}
            )
    return [plain(row) for row in result]


def document(of: Restatement) -> dict:
    """All of it: moments, totals, lines with their changes, and per cause the runs, deliveries and rules behind it."""
    return plain(
        {
            "since": {"at": of.since.at, "said": of.since.said},
            "until": {"at": of.until.at, "said": of.until.said, "is_ahead": of.until.is_ahead},
            "usage_period": of.period,
            "by": of.by,
            "totals": [
                {"currency_code": code} | {name: total(row[name] for row in rows) for name in ("known_before", "known_after", "difference")}
                for code, rows in _by_currency(of.lines).items()
            ],
            "lines": [line | {"changes": [row for row in of.changes if _same(row, line, of.by)]} for line in of.lines],
            "causes": [
                cause
                | {
                    "behind": [
                        run | {"deliveries": [one for one in of.deliveries if _of_cause(one, run) and one["run_id"] == run["run_id"]]}
                        for run in of.runs
                        if _of_cause(run, cause) and run["currency_code"] == cause["currency_code"]
                    ],
                    "rules": [rule for rule in of.rules if _of_cause(rule, cause) and rule["currency_code"] == cause["currency_code"]],
                }
                for cause in of.causes
            ],
            "disputes": of.disputes,
            "periods": of.periods,
        }
    )


def adjustments(found: list[dict], period: date) -> Table:
    """What was posted in a month for usage of other months, as a table."""
    rows = [
        Row(
            (
                month(row["usage_period"]),
                label(row, "team"),
                row["component"] or UNKNOWN,
                REASONS.get(row["reason"], row["reason"]),
                _signed(row["posted_cost"]),
            ),
            "bucket" if row["bucket"] != "allocated" else "",
        )
        for row in found
    ]
    codes = list(_by_currency(found))
    if len(codes) == 1:
        rows.append(Row(("total", "", "", "", _signed(total(row["posted_cost"] for row in found))), "total"))
    return Table(
        "adjustments",
        f"Posted in {month(period)} for usage of other months{in_currency(', '.join(codes))}",
        [*(Column(title, right=False) for title in ("usage", "team", "component", "reason")), Column("charged more or less")],
        rows,
        f"Nothing was posted in {month(period)} for usage of other months.",
    )


def _lines(of: Restatement) -> Table:
    reasons = list(dict.fromkeys(row["reason"] for row in sorted(of.causes, key=lambda row: row["reason"])))
    codes = list(_by_currency(of.lines))
    changed = [line for line in of.lines if line["postings"]]
    rows = []
    for line in changed:
        costs = {
            reason: [row["posted_cost"] for row in of.changes if _same(row, line, of.by) and row["reason"] == reason] for reason in reasons
        }
        rows.append(_row(label(line, of.by), [line], costs, "bucket" if line.get("bucket", "allocated") != "allocated" else ""))
    same = [line for line in of.lines if not line["postings"]]
    if same and changed:
        rows.append(_row(f"{counted(len(same), 'line')} as before", same, dict.fromkeys(reasons, ()), ""))
    if changed and len(codes) == 1:
        whole = {reason: [row["posted_cost"] for row in of.changes if row["reason"] == reason] for reason in reasons}
        rows.append(_row("total", of.lines, whole, "total"))
    what = f"of {month(of.period)}" if of.period else "of all months"
    return Table(
        "restatement",
        f"Chargeback {what}, restated{in_currency(', '.join(codes))}",
        [
            Column("usage", right=False),
            Column(of.by.replace("_", " "), right=False),
            Column("known before"),
            *(Column(REASONS.get(reason, reason)) for reason in reasons),
            Column("difference"),
            Column("known after"),
        ],
        rows,
        f"Nothing {what} was recorded between {of.since} and {of.until}: what was known then is known now.",
        f"Known before: at {of.since}. Known after: at {of.until}.",
        ["The later moment is ahead: more may be recorded until then."] if of.until.is_ahead else [],
    )


def _row(name: str, lines: list[dict], costs: dict[str, list], role: str) -> Row:
    months = {line["usage_period"] for line in lines}
    return Row(
        (
            month(months.pop()) if len(months) == 1 else "",
            name,
            amount(total(line["known_before"] for line in lines)),
            *(_signed(total(found)) if found else "" for found in costs.values()),
            _signed(total(line["difference"] for line in lines)),
            amount(total(line["known_after"] for line in lines)),
        ),
        role,
    )


def _causes(of: Restatement) -> Table:
    rows = [
        Row(
            (
                month(cause["usage_period"]),
                REASONS.get(cause["reason"], cause["reason"]),
                _signed(cause["charged_more"]),
                _signed(cause["charged_less"]),
                _signed(cause["posted_cost"]),
                ", ".join(month(one) for one in cause["accounting_periods"]),
                _behind(of, cause),
            )
        )
        for cause in of.causes
    ]
    return Table(
        "restatement-causes",
        "Why",
        headings("<usage", "<cause", "charged more", "charged less", "together", "<posted in", "<behind it"),
        rows,
        "No posting, no cause.",
        "More and less are sums over payers: what only moves between them comes to 0.00 together.",
    )


def _behind(of: Restatement, cause: dict) -> str:
    """Runs, and what was delivered or changed before them, in words."""
    runs = [run for run in of.runs if _of_cause(run, cause) and run["currency_code"] == cause["currency_code"]]
    said = [f"run {runs[0]['run_id']}, {moment(runs[0]['recorded_at'])}" if len(runs) == 1 else counted(len(runs), "run")]
    if len(runs) > 1:
        said[0] += f", {moment(runs[0]['recorded_at'])} to {moment(runs[-1]['recorded_at'])}"
    found = {one["delivery_id"]: one for one in of.deliveries if _of_cause(one, cause)}
    for one in list(found.values())[:_SHOWN]:
        again = ", in place of an earlier one" if one["is_replacement"] else ""
        said.append(f"{one['source_name']}: {one['file_names'].rpartition('/')[2]}, loaded {moment(one['loaded_at'])}{again}")
    if len(found) > _SHOWN:
        said.append(f"{count(len(found) - _SHOWN)} more")
    if cause["reason"] == "rule_change" and not any(_of_cause(rule, cause) for rule in of.rules):
        said.append("rules that postings do not name: prices, rates or policies")
    if cause["reason"] == "method_change":
        said.append("another version of Tollbook's models")
    return "; ".join(said)


def _rules(of: Restatement) -> Table:
    rows = [
        Row(
            (
                month(rule["usage_period"]),
                rule["rule_name"],
                f"{rule['old_versions'] or UNKNOWN} → {rule['new_versions'] or UNKNOWN}",
                ", ".join(f"{name}: {old or UNKNOWN} → {new or UNKNOWN}" for name, (old, new) in rule["fields"].items()) or UNKNOWN,
                _signed(rule["taken_cost"]),
                _signed(rule["given_cost"]),
            )
        )
        for rule in of.rules
    ]
    titles = (("usage", 0), ("rule", 0), ("version", 0), ("what changed in it", 0), ("no longer decided", 1), ("decided now", 1))
    return Table("restatement-rules", "Rules that changed", [Column(title, right=bool(right)) for title, right in titles], rows, "")


def _disputes(of: Restatement) -> Table:
    rows = []
    for row in of.disputes:
        if row["run_ids"]:
            reasons = ", ".join(REASONS.get(reason, reason) for reason in row["reasons"])
            after = f"{_signed(row['posted_since'])} ({reasons}; {', '.join(row['run_ids'])})"
        else:
            after = "nothing yet: the rule or the bill is still to be corrected" if row["status"] == "accepted" else "nothing"
        rows.append(
            Row(
                (
                    row["dispute_id"],
                    f"{row['statement_id']} line {row['line_number']}",
                    f"{month(row['usage_period'])} {row['component']}",
                    coins(row["disputed_amount"], row["currency_code"]),
                    f"{row['status']} {moment(row['last_at'])}",
                    f"{row['raised_by']}: {row['note']}",
                    after,
                ),
                "warn" if row["status"] == "accepted" and not row["run_ids"] else "",
            )
        )
    titles = (("dispute", 0), ("on", 0), ("of", 0), ("disputed", 1), ("stands at", 0), ("raised by", 0), ("posted on its line since", 0))
    return Table("restatement-disputes", "Disputes", [Column(title, right=bool(right)) for title, right in titles], rows, "")


def _periods(of: Restatement) -> Table:
    rows = [
        Row((month(row["accounting_period"]), row["event"], moment(row["recorded_at"]), row["approved_by"], row["reason"] or ""))
        for row in of.periods
    ]
    titles = ("month", "was", "at", "by", "why")
    return Table("restatement-periods", "Closed or reopened in between", [Column(title, right=False) for title in titles], rows, "")


def _signed(value: Decimal | None) -> str:
    return f"+{amount(value)}" if value is not None and value > 0 else amount(value)


def _same(row: dict, line: dict, by: str) -> bool:
    return all(row[name] == line[name] for name in ("usage_period", *DIMENSIONS[by], "currency_code"))


def _of_cause(row: dict, cause: dict) -> bool:
    return row["usage_period"] == cause["usage_period"] and row["reason"] == cause["reason"]


def _by_currency(lines: list[dict]) -> dict[str, list[dict]]:
    result: dict[str, list[dict]] = {}
    for line in lines:
        result.setdefault(line["currency_code"], []).append(line)
    return result
