"""A statement as tables in words: what both the workbook and the PDF show, in the order in which they show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tollbook.finance.currencies import minor_units
from tollbook.finance.ledger import BY_HAND
from tollbook.finance.statements.figures import BREAKDOWNS, Statement
from tollbook.finance.statements.wording import Wording


@dataclass(frozen=True)
class Column:
    """A column: its heading, what its cells are (text, money, rate, number, count, percent, month, day), its share of the width.

    ``digits`` are the decimals of a number; money has those of the statement's currency.
    """

    title: str
    kind: str = "text"
    width: float = 1.0
    is_summed: bool = False
    digits: int = 2

    @property
    def is_left(self) -> bool:
        """Whether it is set to the left, as words and dates are; figures are set to the right."""
        return self.kind in ("text", "month", "day")


@dataclass(frozen=True)
class Table:
    """A table with a title; columns that ``is_summed`` add up to the figures of a last row."""

    sheet: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str | None = None

    @property
    def totals(self) -> list[Any] | None:
        """What the last row says: sums, of columns that have a figure; None where no column is summed."""
        if not any(column.is_summed for column in self.columns):
            return None
        figures = [[value for value in values if value is not None] for values in zip(*self.rows, strict=True)]
        return [sum(values) if column.is_summed and values else None for column, values in zip(self.columns, figures, strict=True)]


@dataclass
class Document:
    """A statement ready to be drawn: facts of the head, notes, tables, and the bars of a chart (name, last month, this month)."""

    statement: Statement
    words: Wording
    title: str
    name: str
    address: list[str]
    facts: list[tuple[str, str]]
    notes: list[str]
    tables: list[Table]
    bars: list[tuple[str, Decimal | None, Decimal]] = field(default_factory=list)


def document_of(statement: Statement, words: Wording, recipient: dict[str, str | None]) -> Document:
    """Put a statement into words for its recipient (name, address with semicolons between lines, owner; all may be missing)."""
    content = statement.content
    shown = _Shown(words, content)
    facts = [
        (words("number"), statement.statement_id),
        (words("kind", statement.recipient_kind), shown.recipient(statement)),
        *([(words("owner"), recipient["owner"])] if recipient.get("owner") else []),
        (words("period"), words.month(statement.period)),
        # only who pays is charged, or shown what it would be
        (words("mode"), words("modes", statement.mode if statement.recipient_kind == "cost_centre" else statement.recipient_kind)),
        (words("currency"), statement.currency),
        (words("known_at"), words.moment(datetime.fromisoformat(content["known_at"]))),
        (words("content_hash"), statement.content_hash),
    ]
    notes = [words("draft_note")] if statement.is_draft else []
    if statement.recipient_kind in ("tenant", "bucket"):
        notes.append(words(f"{statement.recipient_kind}_note"))
    tables = [
        shown.summary(),
        shown.before(),
        shown.budgets(),
        shown.disputes(statement),
        *(shown.breakdown(name) for name in BREAKDOWNS),
        shown.changes(),
        *shown.units(),
        shown.shared_costs(),
        shown.invoices(),
        shown.rules(),
        shown.lines(),
    ]
    return Document(
        statement,
        words,
        words("statement"),
        recipient.get("name") or shown.recipient(statement),
        [line.strip() for line in (recipient.get("address") or "").split(";") if line.strip()],
        facts,
        [*notes, words("rounding_note")],
        [table for table in tables if table],
        shown.bars(),
    )


class _Shown:
    """The tables of one statement; a table without rows is None."""

    def __init__(self, words: Wording, content: dict[str, Any]):
        self.words = words
        self.content = content

    def recipient(self, statement: Statement) -> str:
        if statement.recipient_kind == "bucket" and self.words.has("buckets", statement.recipient):
            return self.words("buckets", statement.recipient)
        return statement.recipient

    def summary(self) -> Table:
        rows = []
        for part in self.content["parts"]["summary"]:
            said = self.words("sections", part["section"])
            by_hand = self._by_hand(part)
            if by_hand:
                said = by_hand
            if part["section"] != "charges":
                said += f", {self.words.month(date.fromisoformat(part['month']))}"
            if part["section"] == "adjustments" and not by_hand:
                said += f": {self.words('reasons', part['reason'])}"
            rows.append((said, _amount(part)))
        return self._table("summary", "summary", [self._named("item", 4), self._money("amount", True)], rows)

    def before(self) -> Table | None:
        before = self.content["stated_before"]
        if before is None:
            return None
        now, before = Decimal(self.content["stated_amount"]), Decimal(before)
        columns = [self._money("now"), self._money("before"), self._money("difference"), self._named("change", 1, "percent")]
        return self._table("summary", "before", columns, [(now, before, now - before, (now - before) / abs(before) if before else None)])

    def budgets(self) -> Table | None:
        # in whatever currency each is planned
        digits = max([self.words.digits, *(minor_units(budget["currency_code"]) for budget in self.content["budgets"])])
        figures = (Column(self.words("columns", name), "number", digits=digits) for name in ("budget", "spent", "left"))
        columns = [self._named("budget_for", 3), *figures]
        rows = []
        for budget in self.content["budgets"]:
            said = f"{self.words('scopes', budget['scope'])} {budget['scope_value']}, {self.words('budget_kinds', budget['cost_kind'])}"
            planned, spent = Decimal(budget["amount_per_month"]), _decimal(budget["cost"])
            # what is planned in another currency is not held against this one
            same = budget["currency_code"] == self.content["currency_code"] and spent is not None
            rows.append((f"{said} ({budget['currency_code']})", planned, spent if same else None, planned - spent if same else None))
        return self._table("summary", "budgets", columns, rows, "budgets")

    def disputes(self, statement: Statement) -> Table | None:
        columns = [
            self._named("dispute", 0.6),
            self._named("statement", 1.4),
            self._named("line", 0.4, "count"),
            self._named("since", 0.8, "day"),
            self._named("said_by", 0.9),
            self._named("note", 2.4),
            self._money("amount"),
        ]
        names = ("dispute_id", "statement_id", "line_number", "raised_at", "raised_by", "note", "disputed_amount")
        rows = [tuple(one[name].date() if name == "raised_at" else one[name] for name in names) for one in statement.disputes]
        return self._table("summary", "disputes", columns, rows, "disputes")

    def breakdown(self, name: str) -> Table | None:
        total = Decimal(self.content["stated_amount"])
        parts = self.content["parts"].get(name, [])
        rows = [(self._part(part, name), _amount(part), _amount(part) / total if total > 0 else None) for part in parts]
        columns = [self._named("item", 4), self._money("amount", True), self._named("share", 0.6, "percent")]
        # where nothing has such a name there is nothing to break down
        return self._table("breakdown", name, columns, rows if any("name" in part for part in parts) else [])

    def changes(self) -> Table | None:
        if self.content["stated_before"] is None:
            return None
        rows = []
        for change in self.content["changes"]:
            now, before = Decimal(change["now_amount"]), Decimal(change["before_amount"])
            if change["section"] == "adjustments":
                item = self._by_hand(change) or self.words("sections", "adjustments")
                cause = self.words("causes", change["reason"])
            else:
                named = [self._component(change["component"]), change["gpu_model"], change["model"]]
                item, cause = " · ".join(name for name in named if name), self._cause(change, now, before)
            rows.append((item, now, before, now - before, _decimal(change["volume_amount"]), _decimal(change["rate_amount"]), cause))
        columns = [
            self._named("item", 2.2),
            *(self._money(name, True) for name in ("now", "before", "difference", "volume", "rate")),
            self._named("cause", 2.6),
        ]
        return self._table("changes", "changes", columns, rows, "changes")

    def _cause(self, change: dict[str, Any], now: Decimal, before: Decimal) -> str:
        if change["volume_amount"] is not None:
            now_quantity, before_quantity = Decimal(change["now_quantity"]), Decimal(change["before_quantity"])
            now_rate, before_rate = Decimal(change["now_rate"]), Decimal(change["before_rate"])
            digits = 1 if change["component"] == "gpu" else 0
            return self.words(
                "causes",
                "rate",
                unit=self.words("units", change["component"]),
                before=self.words.number(before_quantity, digits),
                now=self.words.number(now_quantity, digits),
                change=self.words.percent(now_quantity / before_quantity - 1, signed=True),
                rate_change=self.words.percent(now_rate / before_rate - 1, signed=True) if before_rate else "–",
            )
        if change["section"] == "markup":
            return self.words("causes", "markup")
        names = {(True, False): "new", (False, True): "gone"}
        return self.words(
            "causes", names.get((bool(now), bool(before))) or ("more" if now > before else "less" if now < before else "same")
        )

    def units(self) -> list[Table]:
        per_gpu = [
            (
                (row["gpu_model"] or "–") + (f", {self.words('of_consumers')}" if row["is_of_consumers"] else ""),
                *_decimals(row, "gpu_hours", "cost", "cost_per_gpu_hour"),
            )
            for row in self.content["gpu_hours"]
        ]
        names = ("token_count", "token_count_without_cost", "cost", "cost_per_million_tokens")
        per_token = [(row["model"] or "–", *_decimals(row, *names)) for row in self.content["tokens"]]
        per_job = [_decimals(row, "jobs", "jobs_without_cost", "gpu_hours", "cost", "cost_per_job") for row in self.content["jobs"]]
        number, count, rate = "number", "count", "rate"
        tables = [
            self._table("units", "gpu_hours", self._columns(("gpu_model", 3), ("gpu_hours", 1, number), ("cost", 1, "money"),
                ("cost_per_gpu_hour", 1, rate)), per_gpu),
            self._table("units", "tokens", self._columns(("model", 3), ("tokens", 1, count), ("tokens_without_cost", 1, count), ("cost", 1, "money"),
                ("cost_per_million", 1, rate)), per_token),
            self._table("units", "jobs", self._columns(("jobs", 1, count), ("jobs_without_cost", 1, count), ("gpu_hours", 1, number),
                ("cost", 1, "money"), ("cost_per_job", 1, rate)), per_job),
        ]  # fmt: skip
        found = [table for table in tables if table]
        return [*found[:-1], *(replace(table, note=self.words("notes", "units")) for table in found[-1:])]

    def shared_costs(self) -> Table | None:
        names = ("step", "rule", "shared_cost_of", "method")
        columns = [
            *self._columns(("step", 0.4, "count"), ("rule", 1.6), ("shared_cost_of", 1.6), ("method", 1)),
            self._money("amount", True),
        ]
        rows = [(*(row[name] for name in names), _amount(row)) for row in self.content["shared_costs"]]
        return self._table("evidence", "shared_costs", columns, rows, "shared_costs")

    def invoices(self) -> Table:
        columns = [*self._columns(("billed_by", 1.6), ("billing_period", 1, "month"), ("invoices", 2)), self._money("amount", True)]
        rows = [
            (
                row["billed_by"],
                date.fromisoformat(row["billing_period"]),
                self.words("no_invoice", row["reason"]) if row["reason"] else row["invoice_ids"] or "–",
                _amount(row),
            )
            for row in self.content["invoices"]
        ]
        return self._table("evidence", "invoices", columns, rows)

    def rules(self) -> Table:
        rows = []
        for row in self.content["rules"]:
            said = json.loads(row["said"]) if row["said"] else {}
            says = ", ".join(f"{name} {value}" for name, value in said.items() if value is not None and name not in ("rule_id", "priority"))
            rule = row["rule"] or self.words("rest", "rule", row["rest"])
            if row["month"]:
                rule += f", {self.words.month(date.fromisoformat(row['month']))}"
            rows.append((rule, says, _amount(row)))
        return self._table("evidence", "rules", [*self._columns(("rule", 1.6), ("says", 3)), self._money("amount", True)], rows)

    def lines(self) -> Table:
        columns = [
            self._named("line", 0.42, "count"),
            self._named("section", 1.15),
            self._named("usage_period", 0.9, "month"),
            self._named("billed_by", 1.2),
            self._named("component", 1.35),
            self._named("service", 1.25),
            self._named("gpu_model", 0.65),
            self._named("model", 1.1),
            self._named("project", 1.2),
            self._money("amount", True),
        ]
        rows = []
        for line in self.content["lines"]:
            rows.append(
                (
                    line["line_number"],
                    self.words("reasons", line["reason"]) if line["section"] == "adjustments" else self.words("kinds", line["section"]),
                    date.fromisoformat(line["usage_period"]),
                    line["billed_by"],
                    self._component(line["component"]),
                    *(line[name] for name in ("service_name", "gpu_model", "model", "project")),
                    _amount(line),
                )
            )
        return self._table("lines", "lines", columns, rows)

    def bars(self) -> list[tuple[str, Decimal | None, Decimal]]:
        """The components that cost most in either month: name, last month, this month."""
        known = self.content["stated_before"] is not None
        before = {self._part(row): _amount(row) for row in self.content["components_before"]}
        now = {self._part(row): _amount(row) for row in self.content["parts"].get("component", [])}
        both = [(name, before.get(name, Decimal(0)), now.get(name, Decimal(0))) for name in (now | before)]
        largest = sorted(both, key=lambda one: -max(abs(one[1]), abs(one[2])))[:8]
        return [(name, before if known else None, now) for name, before, now in largest if before or now]

    def _part(self, row: dict[str, Any], breakdown: str = "component") -> str:
        """What a row of a breakdown is called: its name, or what kind of rest it is."""
        name = row.get("name")
        if name is None:
            return self.words("rest", breakdown, row["rest"])
        return self._component(name) if breakdown == "component" else name

    def _by_hand(self, row: dict[str, Any]) -> str | None:
        """What is said of an amount that people booked; None of all others."""
        reason = row.get("reason")
        return self.words("by_hand", reason) if reason in BY_HAND else None

    def _component(self, name: str | None) -> str:
        return "" if name is None else self.words("components", name) if self.words.has("components", name) else name

    def _named(self, name: str, width: float = 1.0, kind: str = "text") -> Column:
        return Column(self.words("columns", name), kind, width)

    def _columns(self, *given: tuple) -> list[Column]:
        return [self._named(*one) for one in given]

    def _money(self, name: str, is_summed: bool = False) -> Column:
        return Column(self.words("columns", name), "money", 1.0, is_summed)

    def _table(
        self, sheet: str, name: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], note: str | None = None
    ) -> Table | None:
        if not rows:
            return None
        return Table(sheet, self.words("tables", name), columns, rows, self.words("notes", note) if note else None)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _decimals(row: dict[str, Any], *names: str) -> tuple[Decimal | None, ...]:
    return tuple(_decimal(row[name]) for name in names)


def _amount(row: dict[str, Any]) -> Decimal:
    return Decimal(row["stated_amount"])
