"""The audit: every gate at both edges, its results kept, and an error that stops the publish."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tollbook.errors import GateError
from tollbook.quality.gates import Gates
from tollbook.workspace import Workspace


def check(workspace: Workspace, run_id: str, tell: Callable[[str], None]) -> list:
    """Run all gates, keep their results and write the checks page; return the results.

    Raises:
        GateError: a gate of severity error did not pass; each is named with what it saw.
    """
    from tollbook.quality import arrivals, departures
    from tollbook.quality.page import write_checks_page
    from tollbook.quality.results import save

    gates = Gates.read(workspace.config)
    docs = workspace.published / "data_docs"
    now = datetime.now(UTC).replace(tzinfo=None)
    names = [source.name for source in workspace.sources]
    with workspace.connect() as db:
        results = arrivals.check_arrivals(db, gates, names, run_id, docs, now)
        results += departures.check_departures(db, gates, run_id, docs)
        save(db, run_id, results)
    workspace.published.mkdir(exist_ok=True)
    write_checks_page(results, workspace.published / "checks.html", docs)
    for result in results:
        if result.status != "pass":
            tell(f"{result.status}: {result.check_id} ({result.subject}): {result.message}")
    errors = [result for result in results if result.status == "error"]
    tell(
        f"{len(results)} checks: {sum(one.status == 'pass' for one in results)} passed, "
        f"{sum(one.status == 'warn' for one in results)} warned, {len(errors)} failed"
    )
    if errors:
        said = "\n".join(f"  {one.check_id} ({one.subject}): {one.message}" for one in errors)
        raise GateError(f"{len(errors)} checks stop the publish; what is published stays:\n{said}")
    return results
