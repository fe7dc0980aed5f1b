"""The night in steps: load, build, check, post, publish. Airflow's tasks and the command line call these same functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import uuid4

from tollbook.errors import DeliveryError, TollbookError
from tollbook.finance import ledger
from tollbook.finance.ledger import Posted
from tollbook.landing.load import LoadReport
from tollbook.landing.load import load_source as load_one
from tollbook.quality import audit
from tollbook.warehouse import build as warehouse_build
from tollbook.warehouse import lock, publication, schema
from tollbook.workspace import Workspace

Tell = Callable[[str], None]


@dataclass
class RunReport:
    """What a run did: per source what was loaded, what failed, how long each step took (seconds)."""

    loads: list[LoadReport] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def load(
    workspace: Workspace, names: Sequence[str] | None = None, days: tuple[date, date] | None = None, tell: Tell = print
) -> list[LoadReport]:
    """Load the sources (all by default); a source that fails does not stop the others. See ``LoadReport`` for failures.

    ``days`` loads the kept deliveries of these days once more, whatever the landing folder holds now.
    """
    sources = [workspace.source(name) for name in names] if names else workspace.sources
    with lock.writing(workspace, "tollbook load", tell=tell), recorded(workspace, "load"):
        reports = []
        for source in sources:
            with workspace.connect() as db:
                try:
                    report = load_one(workspace, db, source, days)
                except TollbookError as error:
                    report = LoadReport(source.name, source.table, failures=[str(error)])
            tell(_told(report))
            reports.append(report)
        return reports


def load_source(workspace: Workspace, name: str, tell: Tell = print) -> LoadReport:
    """Load one source.

    Raises:
        DeliveryError: a delivery of it could not be loaded; what could be is loaded, and what was there stays.
    """
    (report,) = load(workspace, [name], tell=tell)
    if report.failures:
        raise DeliveryError("\n".join(report.failures))
    return report


def build(workspace: Workspace, full_refresh: bool = False, tell: Tell = print, restate_from: date | None = None) -> int:
    """Compute the marts for the days that changed (all days with ``full_refresh``); return how many days that were.

    Changed rules decide days that are not built yet; with ``restate_from``, all days from that one on.

    Raises:
        TollbookError: a rule file cannot be used, a currency has no rate, or a model or test failed; nothing is published.
    """
    with lock.writing(workspace, "tollbook build", tell=tell), recorded(workspace, "build"):
        days = warehouse_build.build(workspace, full_refresh, tell, restate_from)
        tell(f"built {days} days")
        return days


def check(workspace: Workspace, tell: Tell = print) -> list:
    """Run the gates at both edges on what is loaded and built; return their results.

    Raises:
        GateError: a gate of severity error failed.
    """
    with lock.writing(workspace, "tollbook check", tell=tell), recorded(workspace, "check") as run_id:
        return audit.check(workspace, run_id, tell)


def post(workspace: Workspace, tell: Tell = print) -> Posted:
    """Bring the ledger to what was built and audited: only differences are posted, so posting again posts nothing.

    Raises:
        GateError: the newest audit did not pass, or none ran since the build.
        TollbookError: the postings do not balance; none was made.
    """
    with lock.writing(workspace, "tollbook post", tell=tell), recorded(workspace, "post") as run_id:
        publication.audit_of(workspace)
        with workspace.connect() as db:
            posted = ledger.post(db, run_id)
        said = ", ".join(f"{reason} {cost:,.2f}" for reason, cost in posted.by_reason.items())
        tell(f"posted {posted.postings:,} postings" + (f": {said}" if said else ""))
        return posted


def publish(workspace: Workspace, tell: Tell = print) -> None:
    """Swap in the newly built marts, the Parquet files and the report.

    Raises:
        GateError: the newest audit did not pass, or none ran since the build.
    """
    with lock.writing(workspace, "tollbook publish", tell=tell), recorded(workspace, "publish"):
        publication.publish(workspace, tell)


def run(workspace: Workspace, full_refresh: bool = False, tell: Tell = print, restate_from: date | None = None) -> RunReport:
    """What the DAGs do in a night: load every source, build, check, post, publish.

    Raises:
        TollbookError: nothing could be published; yesterday's marts stay.
    """
    report = RunReport()
    with lock.writing(workspace, "tollbook run", tell=tell):
        with _timed(report, "load"):
            report.loads = load(workspace, tell=tell)
        report.failures = [failure for one in report.loads for failure in one.failures]
        if not _has_data(workspace):
            raise DeliveryError("nothing is loaded, so there is nothing to publish:\n" + "\n".join(report.failures or ["no source"]))
        with _timed(report, "build"):
            build(workspace, full_refresh, tell, restate_from)
        with _timed(report, "check"):
            check(workspace, tell)
        with _timed(report, "post"):
            post(workspace, tell)
        with _timed(report, "publish"):
            publish(workspace, tell)
    return report


def _has_data(workspace: Workspace) -> bool:
    with workspace.connect() as db:
        return db.execute("select count(*) > 0 from meta.deliveries where is_current").fetchone()[0]


def _told(report: LoadReport) -> str:
    parts = [f"{report.loaded} loaded ({report.rows:,} rows)", f"{report.unchanged} unchanged"]
    if report.quarantined:
        parts.append(f"{report.quarantined:,} rows in quarantine")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    return "\n".join([f"{report.source}: {', '.join(parts)}", *(f"  {failure}" for failure in report.failures)])


@contextmanager
def recorded(workspace: Workspace, command: str):
    """Write the step and how it ended to ``meta.runs``; gives the run's id."""
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    with workspace.connect() as db:
        schema.ensure(db)
        db.execute("insert into meta.runs values (?, ?, now()::timestamp, null, 'running', null)", [run_id, command])
    status, message = "failed", "ended without a word"
    try:
        yield run_id
        status, message = "succeeded", None
    except TollbookError as error:
        message = str(error)
        raise
    finally:
        with workspace.connect() as db:
            db.execute(
                "update meta.runs set finished_at = now()::timestamp, status = ?, message = ? where run_id = ?", [status, message, run_id]
            )


@contextmanager
def _timed(report: RunReport, step: str):
    started = datetime.now(UTC)
    yield
    report.seconds[step] = (datetime.now(UTC) - started).total_seconds()
