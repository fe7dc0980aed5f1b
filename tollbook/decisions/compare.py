"""A cost regression gate: one figure of two versions, variants or periods, side by side, and whether it rose too far.

Reads what is published only. What cannot be told is never passed: it has an exit status of its own.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import duckdb

from tollbook.errors import TollbookError
from tollbook.report.formats import UNKNOWN
from tollbook.report.tables import Column, Row, Table

#: Exit status by what came out of it.
STATUS = {"passed": 0, "compared": 0, "failed": 1, "unknown": 2}
_SUCCESSES, _TOKENS, _REQUESTS = "unique_success_count", "token_count", "request_count"
#: Name to (what is summed, what it is divided by, factor, unit). `cost` stands for the currency.
RATIOS: dict[str, tuple[str, str, float, str]] = {
    f"{figure}_cost_per_{per}": (column, divisor, factor, unit)
    for figure, column in (("vendor", "vendor_cost"), ("full", "full_cost"), ("used_full", "used_full_cost"))
    for per, divisor, factor, unit in (
        ("inference", _SUCCESSES, 1, "cost/request"),
        ("1k", _SUCCESSES, 1000, "cost/1k"),
        ("million_tokens", _TOKENS, 1_000_000, "cost/M"),
    )
} | {
    "tokens_per_request": (_TOKENS, _REQUESTS, 1, "tokens"),
    "output_tokens_per_request": ("output_tokens", _REQUESTS, 1, "tokens"),
    "error_rate": ("error_count", _REQUESTS, 1, "ratio"),
    "retry_inflation": (_REQUESTS, "unique_request_count", 1, "ratio"),
    "mean_latency_ms": ("latency_ms", "timed_count", 1, "ms"),
}
#: Percentiles of a day: of several days only the middle one can be told, never a mean of percentiles.
PERCENTILES = {
    "p50_latency_ms": "latency_ms_p50",
    "p95_latency_ms": "latency_ms_p95",
    "p99_latency_ms": "latency_ms_p99",
    "p95_time_to_first_token_ms": "time_to_first_token_ms_p95",
}
METRICS = (*RATIOS, *PERCENTILES)
#: Options that narrow both sides, and columns of product.fct_token_costs.
FILTERS = {"model": "model", "tenant": "tenant", "feature": "feature", "team": "team", "provider": "provider_name", "region": "region"}
_COSTS = ("vendor_cost", "full_cost", "used_full_cost")


@dataclass(frozen=True)
class Side:
    """One side of the comparison: rows that meet ``conditions`` (column, value), on days from ``first`` to ``last`` where given."""

    name: str
    conditions: tuple[tuple[str, str], ...] = ()
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class Figure:
    """A side's figure: ``spread`` is the standard deviation of its days; ``reason`` says why ``value`` is None.

    ``days`` have requests, of ``days_asked`` where both ends of the period are given.
    """

    value: float | None
    reason: str | None
    days: int
    requests: int
    spread: float | None
    basis: str | None
    days_asked: int | None = None

    @property
    def error(self) -> float | None:
        """How far the figure may be off by chance: the standard error of its days."""
        return self.spread / math.sqrt(self.days) if self.spread is not None and self.days > 1 else None


@dataclass(frozen=True)
class Comparison:
    """One metric of both sides; ``outcome`` is passed, failed, unknown, or compared where no threshold is given."""

    metric: str
    unit: str
    a: Figure
    b: Figure
    threshold: float | None

    @property
    def difference(self) -> float | None:
        return None if self.a.value is None or self.b.value is None else self.b.value - self.a.value

    @property
    def ratio(self) -> float | None:
        """The difference as a share of A; None where A is 0, unless B is 0 too."""
        if self.difference is None:
            return None
        if self.a.value == 0:
            return 0.0 if self.difference == 0 else None
        return self.difference / abs(self.a.value)

    @property
    def sigmas(self) -> float | None:
        """The difference in standard errors of the two: 2 and more is hardly chance. None where a side has one day."""
        if self.difference is None or self.a.error is None or self.b.error is None:
            return None
        error = math.hypot(self.a.error, self.b.error)
        return abs(self.difference) / error if error else (math.inf if self.difference else 0.0)

    @property
    def reason(self) -> str | None:
        """Why it cannot be told."""
        if self.a.reason or self.b.reason:
            return "; ".join(f"{side}: {figure.reason}" for side, figure in (("A", self.a), ("B", self.b)) if figure.reason)
        return "A is 0: there is no relative difference" if self.ratio is None else None

    @property
    def outcome(self) -> str:
        if self.reason:
            return "unknown"
        if self.threshold is None:
            return "compared"
        # a hair over, by floating point, is not over
        return "failed" if self.ratio > self.threshold + 1e-9 else "passed"


def parse_side(said: str) -> Side:
    """``model_version:falcon-7b@2``, ``variant:falcon-7b@blue``, ``model:falcon-7b``, ``month:2026-08``, a day, or ``first..last`` (both included).

    Raises:
        TollbookError: it is none of these.
    """
    text = said.strip()
    kind, colon, value = text.partition(":")
    try:
        if match := re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", text.removeprefix("day:")):
            first = date.fromisoformat(match[1])
            last = date.fromisoformat(match[2] or match[1])
            if last < first:
                raise TollbookError(f"{said}: ends before it begins.")
            return Side(text, (), first, last)
        if kind == "month":
            first = datetime.strptime(value, "%Y-%m").date()
            return Side(text, (), first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))
    except ValueError as error:
        raise TollbookError(f"{said}: {error}.") from error
    if colon and value and kind in ("model_version", "variant"):
        model, at, which = value.rpartition("@")
        if not (model and at and which):
            raise TollbookError(f"{said}: say {kind}:<model>@<{kind.removeprefix('model_')}>.")
        return Side(text, (("model", model), (kind, which)))
    if colon and value and kind in FILTERS:
        return Side(text, ((FILTERS[kind], value),))
    raise TollbookError(
        f"{said}: is nothing to compare. Say model_version:<model>@<version>, variant:<model>@<variant>, {', '.join(f'{name}:<{name}>' for name in FILTERS)}, "
        "month:2026-08, 2026-09-01 or 2026-09-01..2026-09-15."
    )


def parse_threshold(said: str) -> float:
    """``5%`` or ``0.05`` as a share.

    Raises:
        TollbookError: it is no such number.
    """
    try:
        share = float(said.strip().removesuffix("%")) / (100 if said.strip().endswith("%") else 1)
    except ValueError as error:
        raise TollbookError(f"--fail-above {said}: say a percentage such as 5%, or a share such as 0.05.") from error
    if not math.isfinite(share) or share < 0:
        raise TollbookError(f"--fail-above {said}: is not 0 or above.")
    return share


def compare(
    db: duckdb.DuckDBPyConnection,
    a: str,
    b: str,
    metrics: Sequence[str],
    threshold: float | None = None,
    filters: dict[str, str] | None = None,
    days: tuple[date | None, date | None] = (None, None),
) -> list[Comparison]:
    """Each metric of A and B; ``filters`` (by the names of ``FILTERS``) and ``days`` narrow both.

    Raises:
        TollbookError: a side, metric or filter cannot be understood.
    """
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        raise TollbookError(f"{', '.join(unknown) or 'no metric'}: metrics are {', '.join(METRICS)}.")
    narrowed = tuple((FILTERS[name], value) for name, value in (filters or {}).items())
    sides = [_narrowed(parse_side(said), narrowed, days) for said in (a, b)]
    return [Comparison(metric, unit(metric), *(_figure(db, side, metric) for side in sides), threshold) for metric in metrics]


def unit(metric: str) -> str:
    return RATIOS[metric][3] if metric in RATIOS else "ms"


def _narrowed(side: Side, conditions: tuple[tuple[str, str], ...], days: tuple[date | None, date | None]) -> Side:
    first = max((day for day in (side.first, days[0]) if day), default=None)
    last = min((day for day in (side.last, days[1]) if day), default=None)
    return Side(side.name, side.conditions + conditions, first, last)


def _figure(db: duckdb.DuckDBPyConnection, side: Side, metric: str) -> Figure:
    found = _ratio(db, side, metric) if metric in RATIOS else _percentile(db, side, metric)
    asked = (side.last - side.first).days + 1 if side.first and side.last else None
    return replace(found, days_asked=asked)


def _ratio(db: duckdb.DuckDBPyConnection, side: Side, metric: str) -> Figure:
    over, under, factor, _ = RATIOS[metric]
    where, values = _where(side)
    if over == "vendor_cost":
        # what the own fleet serves has no vendor; what lacks a vendor's price has one, but no cost
        where += " and (vendor_cost is not null or basis in ('partial', 'unpriced'))"
    rows = db.execute(
        f"select usage_date, sum({over})::double, sum({under})::double, sum(request_count)::bigint, bool_or({over} is null),"
        " bool_or(basis in ('partial', 'unpriced')), bool_or(basis = 'estimated')"
        f" from product.fct_token_costs where {where} group by 1 order by 1",
        values,
    ).fetchall()
    if not rows:
        served = "requests that a vendor served" if over == "vendor_cost" else "requests"
        return Figure(None, f"no {served} of {side.name}{_days_said(side)}", 0, 0, None, None)
    basis = "partial" if any(row[5] for row in rows) else "estimated" if any(row[6] for row in rows) else "billed"
    said = {"days": len(rows), "requests": sum(row[3] for row in rows), "spread": None, "basis": basis}
    if over in _COSTS and (lacking := sum(1 for row in rows if row[4] or row[5])):
        return Figure(None, f"{over} is not known whole on {lacking} of {len(rows)} days", **said)
    divisor = sum(row[2] or 0 for row in rows)
    if not divisor:
        return Figure(None, f"{under} is 0", **said)
    by_day = [row[1] * factor / row[2] for row in rows if row[2]]
    said["spread"] = statistics.stdev(by_day) if len(by_day) > 1 else None
    return Figure(math.fsum(row[1] or 0 for row in rows) * factor / divisor, None, **said)


def _percentile(db: duckdb.DuckDBPyConnection, side: Side, metric: str) -> Figure:
    """The median of the days' percentiles: the rows of the days are not kept."""
    named = dict(side.conditions)
    if len(named) < len(side.conditions):
        return Figure(None, f"{metric} is known by one property of requests at a time", 0, 0, None, None)
    kinds = {("model", "model_version"): "model_version", ("model", "variant"): "variant", (): "all"}
    kinds |= {(FILTERS[name],): name for name in ("model", "tenant", "feature", "provider")}
    dimension = kinds.get(tuple(sorted(named)))
    if dimension is None:
        return Figure(None, f"{metric} is known by one property of requests at a time", 0, 0, None, None)
    value = (
        "@".join(named[column] for column in ("model", dimension))
        if dimension in ("model_version", "variant")
        else next(iter(named.values()), None)
    )
    where, values = _where(Side(side.name, (), side.first, side.last))
    rows = db.execute(
        f"select {PERCENTILES[metric]}, row_count from product.fct_request_stats"
        f" where dimension = ? and dimension_value is not distinct from ? and {where} order by usage_date",
        [dimension, value, *values],
    ).fetchall()
    if not rows:
        return Figure(None, f"no requests of {side.name}{_days_said(side)}", 0, 0, None, None)
    known = [row[0] for row in rows if row[0] is not None]
    requests = sum(row[1] for row in rows)
    if len(known) < len(rows):
        return Figure(None, f"no latency is known on {len(rows) - len(known)} of {len(rows)} days", len(rows), requests, None, None)
    return Figure(statistics.median(known), None, len(rows), requests, statistics.stdev(known) if len(known) > 1 else None, None)


def _where(side: Side) -> tuple[str, list]:
    conditions, values = ["true"], []
    for column, value in side.conditions:
        conditions.append(f"{column} = ?")
        values.append(value)
    for comparison, day in ((">=", side.first), ("<=", side.last)):
        if day:
            conditions.append(f"usage_date {comparison} ?")
            values.append(day)
    return " and ".join(conditions), values


def _days_said(side: Side) -> str:
    if not (side.first or side.last):
        return ""
    return f" from {side.first or 'the first day'} to {side.last or 'the last'}"


def status(comparisons: Sequence[Comparison]) -> int:
    """0: none rose above the threshold; 1: one did; 2: none did, but one cannot be told."""
    found = {STATUS[one.outcome] for one in comparisons}
    return 1 if 1 in found else max(found, default=2)


def document(a: str, b: str, comparisons: Sequence[Comparison], currency: str | None) -> dict:
    """All of it, for machines."""

    def figure(one: Figure) -> dict:
        return {
            "value": one.value, "reason": one.reason, "days": one.days, "days_asked": one.days_asked, "requests": one.requests, "daily_standard_deviation": one.spread,
            "basis": one.basis,
        }  # fmt: skip

    return {
        "a": a,
        "b": b,
        "currency": currency,
        "exit_status": status(comparisons),
        "metrics": [
            {
                "metric": one.metric,
                "unit": one.unit,
                "a": figure(one.a),
                "b": figure(one.b),
                "difference": one.difference,
                "relative_difference": one.ratio,
                "standard_errors": None if one.sigmas is None or math.isinf(one.sigmas) else one.sigmas,
                "fail_above": one.threshold,
                "outcome": one.outcome,
                "reason": one.reason,
            }
            for one in comparisons
        ],
    }


def records(comparisons: Sequence[Comparison]) -> list[dict]:
    """One flat record per metric."""
    return [
        {
            "metric": one.metric, "unit": one.unit, "a": one.a.value, "b": one.b.value, "difference": one.difference,
            "relative_difference": one.ratio, "standard_errors": one.sigmas, "a_requests": one.a.requests, "b_requests": one.b.requests,
            "a_days": one.a.days, "b_days": one.b.days, "outcome": one.outcome, "reason": one.reason,
        }
        for one in comparisons
    ]  # fmt: skip


_SHOWN = {"passed": ("passed", "good"), "failed": ("FAILED", "bad"), "unknown": ("CANNOT BE TOLD", "warn"), "compared": ("", "")}


def table(a: str, b: str, comparisons: Sequence[Comparison], currency: str | None) -> Table:
    """One row per metric, for the terminal; below it why something cannot be told."""
    rows = []
    for one in comparisons:
        said, role = _SHOWN[one.outcome]
        cells = (
            one.metric,
            one.unit.replace("cost", currency or "cost"),
            _number(one.a.value),
            _number(one.b.value),
            _number(one.difference, sign=True),
            UNKNOWN if one.ratio is None else f"{100 * one.ratio:+.2f} %",
            UNKNOWN if one.sigmas is None else "certain" if math.isinf(one.sigmas) else f"{one.sigmas:.1f} σ",
            f"{one.a.requests:,} / {one.b.requests:,}",
            f"{_days(one.a)} / {_days(one.b)}",
            said,
        )
        rows.append(Row(cells, role))
    titles = ("A", "B", "B − A", "relative", "how sure", "requests", "days", "")
    notes = [f"{one.metric}: {one.reason}" for one in comparisons if one.reason]
    notes += [f"{one.metric}: estimated: a bill is not in yet" for one in comparisons if "estimated" in (one.a.basis, one.b.basis)]
    thresholds = {one.threshold for one in comparisons if one.threshold is not None}
    notes += [f"Fails where B is more than {100 * share:g} % above A." for share in thresholds]
    notes.append("How sure: the difference in standard errors of the daily figures; below 2 σ it may be chance.")
    return Table(
        "compare",
        f"A: {a} · B: {b}",
        [Column("", right=False), Column("unit", right=False), *(Column(title) for title in titles)],
        rows,
        "",
        notes=notes,
    )


def _days(one: Figure) -> str:
    return f"{one.days} of {one.days_asked}" if one.days_asked and one.days_asked != one.days else f"{one.days}"


def _number(value: float | None, sign: bool = False) -> str:
    return UNKNOWN if value is None else f"{value:{'+' if sign else ''},.6g}"
