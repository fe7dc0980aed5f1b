"""The last edge: what the marts say must add up, and be there, before anyone reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from tollbook.quality import queries
from tollbook.quality.gates import Gates
from tollbook.quality.results import CheckResult, Limit, Measure
from tollbook.quality.validation import judge

EDGE = "departure"
_DEFECT = "Nothing was published. It is a defect of a model, not of the data: keep the warehouse file and report it."

Row = dict[str, Any]


def check_departures(db: duckdb.DuckDBPyConnection, gates: Gates, run_id: str, docs_dir: Path) -> list[CheckResult]:
    """Judge the marts in the warehouse before they are published. Data Docs go to ``docs_dir/departure``.

    Raises:
        TollbookError: Great Expectations could not evaluate a limit.
    """
    tables = {f"{schema}.{table}" for schema, table in db.execute(
        "select table_schema, table_name from information_schema.tables where table_catalog = current_catalog()").fetchall()}
    measures = []
    for check_ids, marts, measured in _CHECKS:
        missing = [mart for mart in marts if mart not in tables]
        if missing:
            measures += [_absent(check_id, mart) for check_id in check_ids for mart in missing]
        else:
            measures += measured(db, gates, tables)
    return judge(measures, EDGE, run_id, docs_dir)


def _absent(check_id: str, mart: str) -> Measure:
    return Measure(check_id, mart, f"{mart} does not exist", "Run `tollbook build`.", 0, expects_rows=True)


def _rows(db: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any] | None = None) -> Iterator[Row]:
    result = db.execute(query, parameters)
    names = [column[0] for column in result.description]
    return (dict(zip(names, row, strict=True)) for row in result.fetchall())


def _nothing(check_id: str, subject: str, found: str) -> list[Measure]:
    return [Measure(check_id, subject, found, "", 0)]


def _exact(text: str | None) -> str:
    """A decimal's text with every digit that says something."""
    return "not computed" if text is None else f"{Decimal(text).normalize():f}"


def _money(amount: Any, currency: str | None) -> str:
    return f"{amount or 0:,.2f} {currency or ''}".rstrip()


def _beyond(gate) -> dict[str, str | None]:
    warn, error = gate.exact()
    return {"warn_above": warn, "error_above": error}


def _reconciliation(db, gates: Gates, tables) -> list[Measure]:
    gate = gates.reconciliation_delta
    measures = []
    for row in _rows(db, queries.RECONCILIATION, _beyond(gate)):
        source, seen, expects = row["source_name"], row["rows_compared"], row["billing_lines"] > 0
        limits = gate.counted(row["beyond_warn"], row["beyond_error"])
        beyond = max((limit.value for limit in limits), default=0.0)
        found = (f"{row['differing']} of {row['periods']} billing periods differ, most {_name(row['worst_period'])}:"
                 f" effective less allocated and buckets is {_exact(row['worst_delta'])} {row['currency_code'] or ''}".rstrip()
                 if row["differing"] else f"delta 0 in {row['periods']} billing periods, {seen:,} rows compared")
        measures.append(Measure("reconciliation_delta", source, found, _DEFECT, seen, beyond, limits, expects))

        uneven = float(row["uneven"])
        found = (f"{row['uneven']} of {row['periods']} billing periods have lines too few or too many: {row['rows_delivered']}"
                 f" delivered, {row['rows_loaded']} in the marts, {row['rows_quarantined']} in quarantine" if uneven
                 else f"delivered = in the marts + quarantined, {seen:,} rows compared")
        measures.append(Measure("reconciliation_rows", source, found, "Nothing was published. Run `tollbook build --full-refresh`; "
                                "if it stays, it is a defect.", seen, uneven,
                                (Limit("error", uneven, None, 0.0, "error where rows are missing or too many"),), expects))
    return measures or _nothing("reconciliation_delta", "quality.fct_reconciliation", "no billing lines: nothing to reconcile")


def _bridge(db, gates: Gates, tables) -> list[Measure]:
    gate = gates.bridge_remainder
    measures = []
    for row in _rows(db, queries.BRIDGE, _beyond(gate)):
        limits = gate.counted(row["beyond_warn"], row["beyond_error"])
        beyond = max((limit.value for limit in limits), default=0.0)
        found = (f"{row['differing']} of {row['periods']} billing periods leave a remainder, most {_name(row['worst_period'])}:"
                 f" {_exact(row['worst_remainder'])} {row['currency_code'] or ''}".rstrip()
                 if row["differing"] else f"remainder 0 in {row['periods']} billing periods, {row['rows_compared']:,} rows compared")
        measures.append(Measure("bridge_remainder", row["billed_by"], found, _DEFECT, row["rows_compared"], beyond, limits,
                                row["charges"] > 0))
    return measures or _nothing("bridge_remainder", "quality.fct_bridge", "no billing lines: no bridge to cross")


def _chargeback(db, gates: Gates, tables) -> list[Measure]:
    gate = gates.chargeback_delta
    measures = []
    for row in _rows(db, queries.CHARGEBACK, _beyond(gate)):
        limits = gate.counted(row["beyond_warn"], row["beyond_error"])
        beyond = max((limit.value for limit in limits), default=0.0)
        currency = row["currency_code"] or ""
        found = (f"effective {_exact(row['effective_cost'])} less charged {_exact(row['charged_cost'])} leaves {_exact(row['delta'])} {currency}"
                 if row["differing"] else f"all {_money(Decimal(row['effective_cost'] or 0), currency)} of effective cost is charged once")
        measures.append(Measure("chargeback_delta", row["source_name"], found.rstrip(), _DEFECT, row["rows_compared"], beyond, limits,
                                row["billing_lines"] > 0))
    return measures or _nothing("chargeback_delta", "finance.fct_chargeback", "no billing lines: nothing to charge")


def _unowned(db, gates: Gates, tables) -> list[Measure]:
    measures = []
    for row in _rows(db, queries.UNOWNED):
        ratio, share = row["unowned_ratio"], row["unowned_ratio"] or 0
        found = f"{share:.1%} of the money of {_month(row['usage_period'])} has no owner, net {_money(row['unowned_cost'], row['currency_code'])}"
        measures.append(Measure("unowned_ratio", row["source_name"], found,
                                "Add a rule to config/owners.csv or tag the resources; `tollbook query` on finance.fct_charges where "
                                "team is null names them.",
                                row["row_count"], ratio, gates.of(row["source_name"]).unowned_ratio.limits(ratio), row["billing_lines"] > 0))
    return measures


def _tag_coverage(db, gates: Gates, tables) -> list[Measure]:
    known = "config.required_tags" in tables
    query = queries.TAG_COVERAGE.format(required=queries.REQUIRED_TAGS if known else queries.NO_REQUIRED_TAGS)
    measures = []
    for row in _rows(db, query):
        ratio = row["coverage_by_cost_ratio"]
        if row["period"] is None:
            found = "the tag is required, but its coverage was not computed"
        elif ratio is None:
            found = f"{_month(row['period'])} has no money to tag"
        else:
            found = (f"{ratio:.1%} of the money of {_month(row['period'])} carries the tag,"
                     f" {_money(row['untagged_cost'], row['currency_code'])} does not")
        measures.append(Measure("tag_coverage", f"{row['source_name']}: {row['tag']}", found,
                                "Tag the resources, or end the tag's validity in config/required_tags.csv; what is untagged stays charged "
                                "by the other rules.",
                                row["row_count"], ratio, gates.of(row["source_name"]).tag_coverage.limits(ratio), row["is_required"]))
    return measures or _nothing("tag_coverage", "quality.fct_tag_coverage", "no tag is required in config/required_tags.csv")


def _idle(db, gates: Gates, tables) -> list[Measure]:
    (row,) = _rows(db, queries.IDLE)
    bad = float(row["negative_hours"] + row["negative_costs"])
    found = (f"{row['negative_hours']} idle rows with negative hours and {row['negative_costs']} node-hours with a negative idle cost,"
             f" the first at {row['first_at']}" if bad else f"none of {row['row_count']:,} rows is negative idle time or cost")
    return [Measure("negative_idle", "engineering.fct_gpu_hours", found, _DEFECT, row["row_count"], bad,
                    (Limit("error", bad, None, 0.0, "error where idle is negative"),))]


def _null_costs(db, gates: Gates, tables) -> list[Measure]:
    measures = []
    for row in _rows(db, queries.NULL_COSTS):
        ratio, without = row["null_ratio"], float(row["without_reason"])
        found = (f"{row['null_rows']:,} of {row['row_count']:,} rows have no cost, {row['null_ratio'] or 0:.1%} of the {row['unit']}:"
                 f" {row['reasons']}" if row["null_rows"] else f"all {row['row_count']:,} rows have a cost")
        measures.append(Measure("null_cost_ratio", row["mart"], found, "Add the missing bill, node or price (config/prices.csv) and build "
                                "again; until then these costs are missing, not zero.",
                                row["row_count"], ratio, gates.null_cost_ratio.limits(ratio)))
        found = f"{row['without_reason']:,} of {row['null_rows']:,} rows without a cost do not say why"
        measures.append(Measure("null_cost_without_reason", row["mart"], found, _DEFECT, row["row_count"], without,
                                gates.null_cost_without_reason.limits(without)))
    return measures


def _charge_rows(db, gates: Gates, tables) -> list[Measure]:
    measures = []
    for row in _rows(db, queries.CHARGE_ROWS):
        differing = float(row["differing"])
        found = f"{row['mart_rows']:,} rows in finance.fct_charges of {row['input_rows']:,} in raw.billing_lines"
        measures.append(Measure("mart_rows", f"finance.fct_charges: {row['source_name']}", found,
                                "Nothing was published. Run `tollbook build --full-refresh`; if it stays, it is a defect.",
                                row["mart_rows"], differing, (Limit("error", differing, None, 0.0, "error where rows differ"),),
                                row["input_rows"] > 0))
    return measures or _nothing("mart_rows", "finance.fct_charges", "no billing lines")


def _telemetry_rows(mart: str, query: str, what: str) -> Callable[..., list[Measure]]:
    def measured(db, gates: Gates, tables) -> list[Measure]:
        horizon = "(select horizon_at from meta.horizon)" if "meta.horizon" in tables else "now()::timestamp"
        (row,) = _rows(db, query.format(horizon=horizon))
        found = f"{row['mart_rows']:,} rows in {mart} for {row['input_rows']:,} {what}"
        return [Measure("mart_rows", mart, found, "Nothing was published. Run `tollbook build --full-refresh`; if it stays, look "
                        "whether their times lie in the days that were built.",
                        row["mart_rows"], float(row["mart_rows"]), expects_rows=row["input_rows"] > 0)]
    return measured


def _month(period: Any) -> str:
    return f"{period:%Y-%m}" if period else "an unknown period"


def _name(period: Any) -> str:
    return f"in {_month(period)}"


#: What is checked: the ids, the marts each one needs, and how it is measured.
_CHECKS: tuple[tuple[tuple[str, ...], tuple[str, ...], Callable[..., list[Measure]]], ...] = (
    (("reconciliation_delta", "reconciliation_rows"), ("quality.fct_reconciliation",), _reconciliation),
    (("bridge_remainder",), ("quality.fct_bridge", "finance.fct_charges"), _bridge),
    (("chargeback_delta",), ("finance.fct_chargeback", "finance.fct_charges"), _chargeback),
    (("unowned_ratio",), ("finance.fct_chargeback",), _unowned),
    (("tag_coverage",), ("quality.fct_tag_coverage", "finance.fct_charges"), _tag_coverage),
    (("negative_idle",), ("engineering.fct_gpu_hours",), _idle),
    (("null_cost_ratio", "null_cost_without_reason"),
     ("engineering.fct_gpu_hours", "engineering.fct_job_costs", "product.fct_token_costs"), _null_costs),
    (("mart_rows",), ("finance.fct_charges",), _charge_rows),
    (("mart_rows",), ("engineering.fct_gpu_hours",),
     _telemetry_rows("engineering.fct_gpu_hours", queries.GPU_HOUR_ROWS, "holdings that ran")),
    (("mart_rows",), ("product.fct_token_costs",),
     _telemetry_rows("product.fct_token_costs", queries.TOKEN_ROWS, "requests")),
)
