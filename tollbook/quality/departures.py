"""The last edge: what the marts say must add up, and be there, before anyone reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

from tollbook.quality import bills, names, query
from tollbook.quality.gates import Gates
from tollbook.quality.results import CheckResult, Limit, Measure, exact, nothing, number
from tollbook.quality.validation import judge

EDGE = "departure"
_REBUILD = (
    "Run `tollbook build --full-refresh` and `tollbook check`; if it stays, it is a defect of a model, not of the data:"
    " keep warehouse.duckdb and report it."
)


def check_departures(db: duckdb.DuckDBPyConnection, gates: Gates, run_id: str, docs_dir: Path) -> list[CheckResult]:
    """Judge the marts in the warehouse before they are published. Data Docs go to ``docs_dir/departure``.

    Raises:
        TollbookError: Great Expectations could not evaluate a limit.
    """
    tables = db.execute(
        "select table_schema || '.' || table_name from information_schema.tables where table_catalog = current_catalog()"
    ).fetchall()
    present = {row[0] for row in tables}
    measures = []
    for check_ids, needed, measured in _CHECKS:
        missing = [table for table in needed if table not in present]
        measures += [_absent(check_id, table) for check_id in check_ids for table in missing]
        if not missing:
            measures += measured(db, gates)
    if present.issuperset(names.NEEDED):
        measures += names.unknown_names(db, gates)
    return judge(measures, EDGE, run_id, docs_dir)


def _absent(check_id: str, table: str) -> Measure:
    return Measure(check_id, table, f"{table} does not exist", "Run `tollbook build`.", 0, expects_rows=True)


def _none_but(count: int, text: str) -> tuple[Limit, ...]:
    """No row may be so, and no setting allows it."""
    return (Limit("error", float(count), None, 0.0, text),)


def _reconciliation(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    gate, measures = gates.reconciliation_delta, []
    for row in query.run(db, "reconciliation", **gate.parameters()):
        expected = {"rows_seen": row.rows_compared, "expects_rows": row.billing_lines > 0}
        if row.differing:
            found = (
                f"{row.differing} of {number(row.periods, 'billing period')} differ or compared no rows, first"
                f" {_month(row.worst_period)}: effective cost less allocated and buckets is {exact(row.worst_delta)}"
                f" {row.currency_code or ''}"
            )
        else:
            found = f"delta 0 in {number(row.periods, 'billing period')}, {number(row.rows_compared, 'row')} compared"
        measures.append(
            Measure(
                "reconciliation_delta",
                row.source_name,
                found.rstrip(),
                _REBUILD,
                observed=float(row.differing),
                limits=gate.counted(row.beyond_warn, row.beyond_error),
                **expected,
            )
        )
        if row.uneven:
            found = (
                f"{row.rows_delivered} lines delivered, {row.rows_loaded} in the marts,"
                f" {row.rows_quarantined} in quarantine ({row.uneven} of {number(row.periods, 'billing period')})"
            )
        else:
            found = f"delivered = in the marts + quarantined, {number(row.rows_compared, 'row')} compared"
        measures.append(
            Measure(
                "reconciliation_rows",
                row.source_name,
                found,
                _REBUILD,
                observed=float(row.uneven),
                limits=_none_but(row.uneven, "error where rows are missing or too many"),
                **expected,
            )
        )
    return measures or nothing("reconciliation_delta", "quality.fct_reconciliation", "no billing lines to reconcile")


def _bridge(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    gate, measures = gates.bridge_remainder, []
    for row in query.run(db, "bridge", **gate.parameters()):
        if row.differing:
            found = (
                f"{row.differing} of {number(row.periods, 'billing period')} have a remainder or compared no rows,"
                f" first {_month(row.worst_period)}: {exact(row.worst_remainder)} {row.currency_code or ''}"
            )
        else:
            compared = number(row.rows_compared, "row")
            found = f"remainder 0 in {number(row.periods, 'billing period')}, {compared} compared"
        measures.append(
            Measure(
                "bridge_remainder",
                row.billed_by,
                found.rstrip(),
                _REBUILD,
                row.rows_compared,
                float(row.differing),
                gate.counted(row.beyond_warn, row.beyond_error),
                expects_rows=row.charges > 0,
            )
        )
    return measures or nothing("bridge_remainder", "quality.fct_bridge", "no charges to bridge")


def _chargeback(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    gate, measures = gates.chargeback_delta, []
    for row in query.run(db, "chargeback", **gate.parameters()):
        currency = row.currency_code or ""
        found = f"{exact(row.effective_cost)} {currency} of effective cost, {exact(row.charged_cost)} charged"
        if row.differing:
            found += f": a difference of {exact(row.delta)} {currency}"
        measures.append(
            Measure(
                "chargeback_delta",
                row.source_name,
                found.rstrip(),
                _REBUILD,
                row.rows_compared,
                float(row.differing),
                gate.counted(row.beyond_warn, row.beyond_error),
                expects_rows=row.billing_lines > 0,
            )
        )
    return measures or nothing("chargeback_delta", "intermediate.int_chargeback", "no billing lines to charge")


def _unowned(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    measures = []
    for row in query.run(db, "unowned"):
        if row.unowned_ratio is None:
            found = f"nothing is charged in {_month(row.usage_period)}"
        else:
            found = (
                f"{row.unowned_ratio:.1%} of the money of {_month(row.usage_period)} has no owner:"
                f" {_money(row.unowned_cost, row.currency_code)} net"
            )
        measures.append(
            Measure(
                "unowned_ratio",
                row.source_name,
                found,
                "Add a rule to config/owners.csv or tag the resources; in finance.fct_charges their team is NULL.",
                row.row_count,
                row.unowned_ratio,
                gates.of(row.source_name).unowned_ratio.limits(row.unowned_ratio),
                expects_rows=row.billing_lines > 0,
            )
        )
    return measures or nothing("unowned_ratio", "intermediate.int_chargeback", "no money to own")


def _tag_coverage(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    measures = []
    for row in query.run(db, "tag_coverage"):
        ratio = row.coverage_by_cost_ratio
        if ratio is None:
            found = f"no money to tag in {_month(row.period)}"
        else:
            found = (
                f"{ratio:.1%} of the money of {_month(row.period)} carries the tag, {_money(row.untagged_cost, row.currency_code)} does not"
            )
        measures.append(
            Measure(
                "tag_coverage",
                f"{row.source_name}: {row.tag}",
                found,
                "Tag the resources, or end the tag's validity in config/required_tags.csv.",
                row.row_count,
                ratio,
                gates.of(row.source_name).tag_coverage.limits(ratio),
                expects_rows=row.is_required,
            )
        )
    return measures or nothing("tag_coverage", "quality.fct_tag_coverage", "config/required_tags.csv requires none")


def _negative_idle(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    (row,) = query.run(db, "negative_idle")
    bad = row.negative_hours + row.negative_costs
    if bad:
        found = (
            f"{row.negative_hours} rows have negative hours and {row.negative_costs} node-hours a layer of negative"
            f" cost, the first at {row.first_at}"
        )
    else:
        found = f"no layer's time or cost below 0 in {number(row.row_count, 'row')}"
    return [
        Measure(
            "negative_idle",
            "engineering.fct_gpu_hours",
            found,
            _REBUILD,
            row.row_count,
            float(bad),
            _none_but(bad, "error where a layer is below 0"),
        )
    ]


def _null_costs(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    measures = []
    for row in query.run(db, "null_costs"):
        if row.null_rows:
            found = f"{row.null_rows:,} of {row.row_count:,} rows, {row.null_ratio:.1%} of the {row.unit}, have no cost: {row.reasons}"
        else:
            found = f"{number(row.row_count, 'row')}, none without a cost"
        measures.append(
            Measure(
                "null_cost_ratio",
                row.mart,
                found,
                "Add the bill, the node (capacity) or the price (config/prices.csv) that is missing; it is not zero.",
                row.row_count,
                row.null_ratio,
                gates.null_cost_ratio.limits(row.null_ratio),
            )
        )
        measures.append(
            Measure(
                "null_cost_without_reason",
                row.mart,
                f"{row.without_reason:,} of {row.null_rows:,} rows without a cost do not say why",
                _REBUILD,
                row.row_count,
                float(row.without_reason),
                gates.null_cost_without_reason.limits(row.without_reason),
            )
        )
    return measures


def _charge_rows(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
    measures = []
    for row in query.run(db, "charge_rows"):
        found = f"{number(row.mart_rows, 'row')} for {number(row.input_rows, 'billing line')}"
        limit = Limit("error", float(row.differing), None, 0.0, "error unless one row per line", of="rows_differing")
        measures.append(
            Measure(
                "mart_rows",
                f"finance.fct_charges: {row.source_name}",
                found,
                _REBUILD,
                row.mart_rows,
                float(row.mart_rows),
                (limit,),
                expects_rows=row.input_rows > 0,
            )
        )
    return measures or nothing("mart_rows", "finance.fct_charges", "no billing lines")


def _rows_for(mart: str, name: str, what: str) -> Callable[[duckdb.DuckDBPyConnection, Gates], list[Measure]]:
    """The mart has rows where its input has some."""

    def measured(db: duckdb.DuckDBPyConnection, gates: Gates) -> list[Measure]:
        (row,) = query.run(db, name)
        found = f"{number(row.mart_rows, 'row')} for {number(row.input_rows, what)}"
        return [Measure("mart_rows", mart, found, _REBUILD, row.mart_rows, float(row.mart_rows), expects_rows=row.input_rows > 0)]

    return measured


def _month(period: date | None) -> str:
    return f"{period:%Y-%m}" if period else "no period"


def _money(amount: Decimal | None, currency: str | None) -> str:
    return f"{amount or 0:,.2f} {currency or ''}".rstrip()


#: What is checked: the ids, the tables it needs, and how it is measured.
_CHECKS = (
    (("reconciliation_delta", "reconciliation_rows"), ("quality.fct_reconciliation",), _reconciliation),
    (("bridge_remainder",), ("quality.fct_bridge", "finance.fct_charges"), _bridge),
    (("chargeback_delta",), ("intermediate.int_chargeback", "finance.fct_charges"), _chargeback),
    (("unowned_ratio",), ("intermediate.int_chargeback",), _unowned),
    (("tag_coverage",), ("quality.fct_tag_coverage", "finance.fct_charges", "config.required_tags"), _tag_coverage),
    (("invoice_delta",), ("finance.fct_invoice_tie_out",), bills.untied_invoices),
    (("unsettled_commitments",), ("finance.fct_commitments",), bills.unsettled_commitments),
    (("unmatched_usage_ratio",), ("quality.fct_usage_tie_out",), bills.unmatched_usage),
    (("negative_idle",), ("engineering.fct_gpu_hours",), _negative_idle),
    (
        ("null_cost_ratio", "null_cost_without_reason"),
        ("engineering.fct_gpu_hours", "engineering.fct_jobs", "product.fct_token_costs"),
        _null_costs,
    ),
    (("mart_rows",), ("finance.fct_charges",), _charge_rows),
    (
        ("mart_rows",),
        ("engineering.fct_gpu_hours", "meta.horizon"),
        _rows_for("engineering.fct_gpu_hours", "gpu_hour_rows", "holding"),
    ),
    (
        ("mart_rows",),
        ("product.fct_token_costs",),
        _rows_for("product.fct_token_costs", "token_cost_rows", "request"),
    ),
)
