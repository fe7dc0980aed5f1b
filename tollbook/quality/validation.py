"""Let Great Expectations judge measures: one frame, one suite and one page of Data Docs per edge."""

from __future__ import annotations

import html
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tollbook.errors import TollbookError
from tollbook.quality.results import CheckResult, Limit, Measure

if TYPE_CHECKING:
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.expectations.expectation import Expectation
    from pandas import DataFrame

_SEVERITIES = {"warn": "warning", "error": "critical"}
_ROWS_SEEN = "rows_seen"

#: Column to row to value; (column, bounds) to rows; (column, severity, row).
Values = dict[str, dict[int, float]]
Held = dict[tuple[str, Limit], list[int]]
Failed = set[tuple[str, str, int]]


def judge(measures: Sequence[Measure], edge: str, run_id: str, docs_dir: Path) -> list[CheckResult]:
    """Hold every measure against its limits; write Data Docs to ``docs_dir/<edge>``, replacing the last run's.

    Raises:
        TollbookError: Great Expectations could not evaluate a limit.
    """
    if not measures:
        return []
    rows, subjects = _rows(measures)
    values: Values = defaultdict(dict)
    held: Held = defaultdict(list)
    for measure, row in zip(measures, rows, strict=True):
        for limit in _limits(measure):
            column = _column(measure, limit)
            if limit.value is not None:
                values[column][row] = limit.value
            held[column, replace(limit, value=None)].append(row)
    failed = _validate(subjects, values, held, edge, run_id, docs_dir)
    return [_result(measure, edge, failed, row) for measure, row in zip(measures, rows, strict=True)]


def _rows(measures: Sequence[Measure]) -> tuple[list[int], list[str]]:
    """Each measure's row in the frame, and the rows' subjects: one per subject, more where a check names it twice."""
    numbers: dict[tuple[str, int], int] = {}
    times: Counter[tuple[str, str]] = Counter()
    rows = []
    for measure in measures:
        key = measure.subject, times[measure.check_id, measure.subject]
        times[measure.check_id, measure.subject] += 1
        rows.append(numbers.setdefault(key, len(numbers)))
    return rows, [subject for subject, _ in numbers]


def _limits(measure: Measure) -> tuple[Limit, ...]:
    if not measure.expects_rows:
        return measure.limits
    seen = float(measure.rows_seen)
    return (*measure.limits, Limit("error", seen, 1.0, None, "error if no row was seen", of=_ROWS_SEEN))


def _column(measure: Measure, limit: Limit) -> str:
    parts = [measure.check_id, limit.of, f"{limit.severity}_limit" if limit.of == "rows_beyond" else ""]
    return "_".join(filter(None, parts))


def _validate(subjects: list[str], values: Values, held: Held, edge: str, run_id: str, docs_dir: Path) -> Failed:
    """Run one checkpoint over the frame; which (column, severity, row) it found outside its bounds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # it takes seconds to import, so only where something is judged
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    fresh = docs_dir / f"{edge}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    context = _context(edge, fresh)
    suite = context.suites.add(gx.ExpectationSuite(name=edge, expectations=_expectations(subjects, values, held)))
    source = context.data_sources.add_pandas("duckdb").add_dataframe_asset(edge)
    profile = source.add_batch_definition_whole_dataframe("profile")
    checkpoint = gx.Checkpoint(
        name=edge,
        validation_definitions=[context.validation_definitions.add(gx.ValidationDefinition(name=edge, data=profile, suite=suite))],
        actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs")],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row", "subject"]},
    )
    frame = _frame(subjects, values, list(dict.fromkeys(column for column, _ in held)))
    # it looks for a time in a name, and fails where the digits at the end look like a time zone: with a word before them it finds none
    named = RunIdentifier(run_name=f"run-{run_id}")
    outcome = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=named)
    # megabytes of tutorial that no page needs
    for picture in fresh.glob("static/images/*.gif"):
        picture.unlink()
    shutil.rmtree(docs_dir / edge, ignore_errors=True)
    fresh.rename(docs_dir / edge)

    (validation,) = outcome.run_results.values()
    failed = set()
    for result in validation.results:
        meta, found = result.expectation_config.meta, result.result.get("unexpected_index_list")
        if result.exception_info.get("raised_exception") or (found is None and not result.success):
            raise TollbookError(
                f"Great Expectations could not judge {meta['column']} at the {edge} edge, so nothing is published: {result.exception_info}"
            )
        failed |= {(meta["column"], meta["severity"], int(one["row"])) for one in found or []}
    return failed


def _context(edge: str, site: Path) -> EphemeralDataContext:
    """A context that keeps nothing but one site of Data Docs in the folder ``site``."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    docs = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={edge: docs},
        progress_bars={"globally": False},
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _frame(subjects: list[str], values: Values, columns: list[str]) -> DataFrame:
    """One row per subject, one column per measured value; a check that does not concern a subject is NaN there."""
    import pandas as pd

    measured = {column: pd.Series(values.get(column, {}), dtype="float64") for column in columns}
    frame = pd.DataFrame(measured, index=range(len(subjects)))
    # Data Docs shows these as they are
    frame.insert(0, "subject", [html.escape(subject) for subject in subjects])
    frame.insert(0, "row", range(len(subjects)))
    return frame


def _expectations(subjects: list[str], values: Values, held: Held) -> list[Expectation]:
    """One expectation per column and bounds; limited to its rows where others have bounds of their own."""
    from great_expectations.expectations import ExpectColumnValuesToBeBetween
    from great_expectations.expectations.row_conditions import Column

    expectations = []
    for (column, limit), numbers in held.items():
        is_general = set(values.get(column, {})) <= set(numbers)
        only = "" if is_general else f" (only {', '.join(subjects[number] for number in numbers)})"
        expectations.append(
            ExpectColumnValuesToBeBetween(
                column=column,
                min_value=limit.minimum,
                max_value=limit.maximum,
                severity=_SEVERITIES[limit.severity],
                # a template of Data Docs, and not escaped there
                description=html.escape(f"{column}: {limit.text}{only}").replace("$", "$$"),
                row_condition=None if is_general else Column("row").is_in(numbers),
                meta={"severity": limit.severity, "column": column},
            )
        )
    return expectations


def _result(measure: Measure, edge: str, failed: Failed, row: int) -> CheckResult:
    broken = [one for one in _limits(measure) if (_column(measure, one), one.severity, row) in failed]
    status = "error" if any(one.severity == "error" for one in broken) else "warn" if broken else "pass"
    worst = "error" if any(one.severity == "error" for one in measure.limits or _limits(measure)) else "warn"
    found = measure.found
    if any(one.of == _ROWS_SEEN for one in broken):
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
