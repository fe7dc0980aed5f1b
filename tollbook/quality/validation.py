"""Let Great Expectations judge measures: one frame, one suite and one page of Data Docs per edge."""

from __future__ import annotations

import html
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tollbook.errors import TollbookError
from tollbook.quality.results import CheckResult, Limit, Measure

_SEVERITIES = {"warn": "warning", "error": "critical"}
_ROWS_EXPECTED = Limit("error", None, 1.0, None, "error if no row was seen", of="rows_seen")


def judge(measures: Sequence[Measure], edge: str, run_id: str, docs_dir: Path) -> list[CheckResult]:
    """Hold every measure against its limits; write the edge's Data Docs to ``docs_dir/<edge>``, replacing the last run's.

    Raises:
        TollbookError: Great Expectations could not evaluate a limit.
    """
    if not measures:
        return []
    rows = {subject: number for number, subject in enumerate(dict.fromkeys(one.subject for one in measures))}
    values: dict[str, dict[int, float]] = defaultdict(dict)
    held: dict[tuple[str, Limit], list[Measure]] = defaultdict(list)
    for measure in measures:
        for limit in _limits(measure):
            column = _column(measure, limit)
            if limit.value is not None:
                values[column][rows[measure.subject]] = limit.value
            bounds = Limit(limit.severity, None, limit.minimum, limit.maximum, limit.text, limit.of)
            held[column, bounds].append(measure)
    failed = _validate(rows, values, held, edge, run_id, docs_dir)
    return [_result(measure, edge, failed, rows[measure.subject]) for measure in measures]


def _limits(measure: Measure) -> tuple[Limit, ...]:
    if not measure.expects_rows:
        return measure.limits
    seen = Limit(**{**_ROWS_EXPECTED.__dict__, "value": float(measure.rows_seen)})
    return (*measure.limits, seen)


def _column(measure: Measure, limit: Limit) -> str:
    parts = [measure.check_id, limit.of, f"{limit.severity}_limit" if limit.of == "rows_beyond" else ""]
    return "_".join(filter(None, parts))


def _validate(rows, values, held, edge: str, run_id: str, docs_dir: Path) -> set[tuple[str, str, int]]:
    """Which (column, severity, row) Great Expectations found outside its bounds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # it takes seconds to import, so only where something is judged
    import great_expectations as gx
    import pandas as pd
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
    from great_expectations.expectations.row_conditions import Column

    columns = dict.fromkeys(column for column, _ in held)
    frame = pd.DataFrame({column: pd.Series(values.get(column, {}), dtype="float64") for column in columns},
                         index=range(len(rows)))
    # Data Docs shows these as they are
    frame.insert(0, "subject", [html.escape(subject) for subject in rows])
    frame.insert(0, "row", range(len(rows)))

    fresh = docs_dir / f"{edge}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(fresh)},
    }
    context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(), data_docs_sites={edge: site}, progress_bars={"globally": False}
    ))
    suite = gx.ExpectationSuite(name=edge)
    for (column, limit), measures in held.items():
        numbers = sorted({rows[measure.subject] for measure in measures})
        others = set(values.get(column, {})) - set(numbers)
        suite.add_expectation(gx.expectations.ExpectColumnValuesToBeBetween(
            column=column, min_value=limit.minimum, max_value=limit.maximum, severity=_SEVERITIES[limit.severity],
            description=_described(column, limit, measures if others else []),
            row_condition=Column("row").is_in(numbers) if others else None,
            meta={"severity": limit.severity, "column": column},
        ))
    batch = context.data_sources.add_pandas("duckdb").add_dataframe_asset(edge).add_batch_definition_whole_dataframe("profile")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=edge, data=batch, suite=context.suites.add(suite)))
    checkpoint = gx.Checkpoint(
        name=edge, validation_definitions=[definition], actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs")],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row", "subject"]},
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name=run_id))
    _swap(fresh, docs_dir / edge)
    (validation,) = outcome.run_results.values()
    failed = set()
    for result in validation.results:
        meta = result.expectation_config.meta
        if result.exception_info.get("raised_exception") or "unexpected_index_list" not in result.result:
            raise TollbookError(f"Great Expectations could not judge {meta['column']} at the {edge} edge: {result.exception_info}")
        failed |= {(meta["column"], meta["severity"], int(found["row"])) for found in result.result["unexpected_index_list"] or []}
    return failed


def _described(column: str, limit: Limit, measures: Sequence[Measure]) -> str:
    only = f" (only {', '.join(measure.subject for measure in measures)})" if measures else ""
    # the description is a template of Data Docs, and not escaped there
    return html.escape(f"{column}: {limit.text}{only}").replace("$", "$$")


def _swap(new: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    os.replace(new, target)


def _result(measure: Measure, edge: str, failed: set[tuple[str, str, int]], row: int) -> CheckResult:
    broken = {limit.of: limit.severity for limit in _limits(measure) if (_column(measure, limit), limit.severity, row) in failed}
    status = "error" if "error" in broken.values() else "warn" if broken else "pass"
    worst = "error" if any(limit.severity == "error" for limit in measure.limits) else "warn"
    found = measure.found
    if _ROWS_EXPECTED.of in broken:
        found = f"saw no rows where rows were expected: {found}"
    return CheckResult(
        check_id=measure.check_id,
        edge=edge,
        subject=measure.subject,
        severity=worst if status == "pass" else status,
        status=status,
        rows_seen=measure.rows_seen,
        observed=measure.observed,
        threshold="; ".join(limit.text for limit in _limits(measure)) or "none",
        message=found if status == "pass" else f"{found}. {measure.advice}",
    )
