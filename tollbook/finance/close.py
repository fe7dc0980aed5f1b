"""Close a month: check it, freeze what its statements are made of, record who approved it, issue the statements; and reopen one.

Waivers, accruals, the frozen folder and the event are one transaction: a close that is killed leaves an open month, whose leftovers the
next try replaces, or a closed one with its folder whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from tollbook import pipeline
from tollbook.errors import GateError, TollbookError
from tollbook.finance import accruals, close_checks, freeze, ledger, periods, waivers
from tollbook.finance.close_checks import Check
from tollbook.finance.currencies import coins
from tollbook.finance.waivers import Waiver
from tollbook.report.formats import counted
from tollbook.warehouse import lock, schema
from tollbook.workspace import Workspace

Tell = Callable[[str], None]


@dataclass(frozen=True)
class CloseReport:
    """What was checked for ``period`` (first of the month) and, where it was closed, when, and the folder that keeps it."""

    period: date
    checks: tuple[Check, ...]
    waivers: tuple[Waiver, ...] = ()
    closed_at: datetime | None = None
    folder: Path | None = None
    content_hash: str | None = None
    postings: int = 0
    statements: int = 0

    @property
    def passes(self) -> bool:
        """Whether the month can be closed."""
        return all(check.status != "fail" for check in self.checks)

    def markdown(self) -> str:
        """The checks as a table for people who approve elsewhere than at a terminal."""
        cells = [(one.check_id, one.status, one.observed, one.threshold, one.advice) for one in self.checks]
        rows = [("check", "status", "found", "threshold", "what to do"), ("---",) * 5, *cells]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows)


class ClosedAlready(TollbookError):
    """The month is closed; its statements are written, or can be from what is kept."""


class NotClosed(GateError):
    """Checks did not pass, and the month is as open as before; ``report`` has them."""

    def __init__(self, report: CloseReport):
        failed = [f"  {check.check_id}: {check.observed}. {check.advice}" for check in report.checks if check.status == "fail"]
        super().__init__(f"{report.period:%Y-%m} is not closed, {counted(len(failed), 'check')} did not pass:\n" + "\n".join(failed))
        self.report = report


def close(
    workspace: Workspace,
    period: date,
    approved_by: str,
    dry_run: bool = False,
    waive: Sequence[str] = (),
    accrue: bool = False,
    tell: Tell = print,
    proposed_at: datetime | None = None,
) -> CloseReport:
    """Close ``period`` (first of a month); with ``dry_run`` only check it, and change nothing.

    ``waive`` has ``check:item=reason`` beside what ``config/close_waivers.csv`` waives; ``accrue`` lets estimates stand as accruals.
    ``proposed_at`` is the newest posting that the approver was shown (``newest_posting``): what came after it was not approved.

    Raises:
        NotClosed: a check did not pass (not with ``dry_run``: the report says so).
        ClosedAlready: the month is closed, and its statements are written.
        TollbookError: nobody is named, a waiver cannot be used, or the month is closed, but its statements are not written.
    """
    if not dry_run and not approved_by.strip():
        raise TollbookError(f"{period:%Y-%m} is not closed: say who approved it, with --approved-by.")
    workspace.require_warehouse()
    with lock.writing(workspace, "tollbook close", tell=tell):
        if dry_run:
            with _reading(workspace) as db:
                return _examined(db, workspace, period, approved_by, waive, accrue, tell)
        with pipeline.recorded(workspace, "close") as run_id:
            with workspace.connect() as db:
                if proposed_at is not None and _newest_posting(db, period) != proposed_at:
                    raise TollbookError(
                        f"{period:%Y-%m} was posted in since its close was proposed, so what was approved is not what would be closed."
                        " Propose it again: clear the task `propose`."
                    )
                report = _examined(db, workspace, period, approved_by, waive, accrue, tell)
                if not report.passes:
                    raise NotClosed(report)
                report = _closed(db, workspace, run_id, report, approved_by, tell)
            tell(f"{period:%Y-%m} is closed: {report.postings:,} postings kept in {report.folder}")
            return _with_statements(workspace, report, tell)


def reopen(workspace: Workspace, period: date, approved_by: str, reason: str, tell: Tell = print) -> None:
    """Open ``period`` again: what differs is posted in it until it is closed once more. What was frozen is kept.

    Raises:
        TollbookError: nobody is named, no reason is given, or the month is not closed.
    """
    workspace.require_warehouse()
    if not reason.strip():
        raise TollbookError(f"{period:%Y-%m} is not reopened: say why, with --reason.")
    with lock.writing(workspace, "tollbook reopen", tell=tell), pipeline.recorded(workspace, "reopen"), workspace.connect() as db:
        periods.record(db, period, "reopened", ledger.next_moment(db), approved_by, reason)
    tell(f"{period:%Y-%m} is open again. What differs is posted in it; close it once more when it is right.")


def due(workspace: Workspace, today: date) -> date:
    """The month whose turn it is: the oldest open one that was posted in and is over, else the one before ``today``'s."""
    this_month = today.replace(day=1)
    with _reading(workspace) as db:
        waiting = periods.open_before(db, this_month)
    return waiting[0] if waiting else (this_month - timedelta(days=1)).replace(day=1)


def newest_posting(workspace: Workspace, period: date) -> datetime | None:
    """When something was posted in ``period`` last."""
    with _reading(workspace) as db:
        return _newest_posting(db, period)


def _newest_posting(db: duckdb.DuckDBPyConnection, period: date) -> datetime | None:
    return db.execute("select max(recorded_at) from ledger.postings where accounting_period = ?", [period]).fetchone()[0]


def _reading(workspace: Workspace) -> duckdb.DuckDBPyConnection:
    workspace.require_warehouse()
    return workspace.connect(read_only=True)


def _examined(db, workspace: Workspace, period: date, approved_by: str, waive: Sequence[str], accrue: bool, tell: Tell) -> CloseReport:
    """The checks of the month, waivers applied, and what is accrued by hand."""
    with schema.built():
        if period in ledger.closed_periods(db):
            raise closed_already(db, workspace, period)
        return _checked(db, workspace, period, approved_by, waive, accrue, tell)


def _checked(db, workspace: Workspace, period: date, approved_by: str, waive: Sequence[str], accrue: bool, tell: Tell) -> CloseReport:
    checks = close_checks.run(db, workspace, period, accrue)
    of_file = waivers.of_file(workspace, period)
    used = waivers.needed([*of_file, *waivers.of_options(waive, checks, approved_by)], checks)
    for one in of_file:
        if one.key not in {other.key for other in used}:
            lost = f", so its accrual of {coins(one.accrual_cost, workspace.currency)} is not booked" if one.accrual_cost else ""
            tell(f"{waivers.FILE}: {one.check_id}:{one.item} needs no waiver: the check found no such thing{lost}")
    waived = close_checks.waive(checks, {one.key: one.reason for one in used})
    return CloseReport(period, (*waived, waivers.accrual(db, period, used, workspace.currency)), tuple(used))


def _closed(db, workspace: Workspace, run_id: str, report: CloseReport, approved_by: str, tell: Tell) -> CloseReport:
    """Everything that a close writes, in one transaction: what is frozen is what is known at the moment of the close."""
    period = report.period
    (times,) = db.execute(
        # the opening balance keeps no folder
        "select count(*) from ledger.period_events where accounting_period = ? and event = 'closed' and folder is not null",
        [period],
    ).fetchone()
    folder = workspace.closed / (f"{period:%Y-%m}" + (f"-{times + 1}" if times else ""))
    # a close that was killed may have left both
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    _make_room(db, workspace, folder, tell)
    db.begin()
    try:
        moment = ledger.next_moment(db)
        booked = waivers.to_accrue(db, period, report.waivers, workspace.currency)
        waivers.record(db, period, moment, report.waivers)
        accruals.book(db, run_id, moment, period, booked)
        manifest = freeze.freeze(db, period, moment, workspace.currency, fresh)
        _to_disk(fresh)
        os.replace(fresh, folder)
        _to_disk(workspace.closed)
        content_hash = freeze.content_hash(folder)
        periods.record(db, period, "closed", moment, approved_by, _reason(report), content_hash, folder.name)
        db.commit()
    except BaseException:
        with suppress(duckdb.Error):
            db.rollback()
        # an interrupt may come when all is written
        if period not in ledger.closed_periods(db):
            for leftover in (fresh, folder):
                shutil.rmtree(leftover, ignore_errors=True)
        raise
    postings = manifest["files"]["postings.parquet"]["rows"]
    return CloseReport(period, report.checks, report.waivers, moment, folder, content_hash, postings)


def _make_room(db: duckdb.DuckDBPyConnection, workspace: Workspace, folder: Path, tell: Tell) -> None:
    """Remove what a killed close left in ``folder``; keep aside what a ledger that was lost since had closed the month with."""
    try:
        known_at = datetime.fromisoformat(freeze.manifest_of(folder)["known_at"])
    except TollbookError:
        shutil.rmtree(folder, ignore_errors=True)
        return
    (begun_at,) = db.execute("select min(recorded_at) from ledger.runs").fetchone()
    if begun_at is not None and known_at >= begun_at and not (workspace.statements / folder.name).exists():
        shutil.rmtree(folder)
    else:
        aside = folder.with_name(f"{folder.name}.unknown-{freeze.content_hash(folder)[:12]}")
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(folder, aside)
        tell(f"{folder} is of no close that the ledger knows; it is kept as {aside.name}")


def _reason(report: CloseReport) -> str:
    said = [f"{check.check_id}: {check.observed}" for check in report.checks if check.check_id == "estimates" and check.advice]
    said += [
        f"{one.check_id}:{one.item} {'approved' if one.check_id == waivers.ACCRUAL else 'waived'} by {one.approved_by}: {one.reason}"
        for one in report.waivers
    ]
    return "; ".join(said) or "all checks passed"


def _with_statements(workspace: Workspace, report: CloseReport, tell: Tell) -> CloseReport:
    # workbooks and documents take a second to import
    from tollbook.finance import statements

    try:
        issued = statements.issue(workspace, report.period, report.folder, workspace.statements / report.folder.name, tell=tell)
    except (TollbookError, OSError, duckdb.Error) as error:
        raise TollbookError(
            f"{report.period:%Y-%m} is closed and kept in {report.folder}, but its statements were not written: {error}"
            f" Mend that and write them with `tollbook statements {report.period:%Y-%m}`."
        ) from error
    tell(f"{len(issued)} statements in {workspace.statements / report.folder.name}")
    return CloseReport(**(vars(report) | {"statements": len(issued)}))


def closed_already(db: duckdb.DuckDBPyConnection, workspace: Workspace, period: date) -> ClosedAlready:
    """What is said to who closes ``period`` (first of a month), which is closed, once more."""
    last = periods.last_close(db, period)
    if last.folder is None:
        return ClosedAlready(f"{period:%Y-%m} is closed already, at {last.recorded_at:%Y-%m-%d %H:%M} UTC; it was {periods.OPENING}.")
    (issued,) = db.execute(
        "select count(*) from ledger.statements where accounting_period = ? and known_at >= ?", [period, last.recorded_at]
    ).fetchone()
    said = f"{period:%Y-%m} is closed already (at {last.recorded_at:%Y-%m-%d %H:%M} UTC, kept in {workspace.closed / last.folder})"
    if not issued:
        return ClosedAlready(f"{said}, but its statements were not written: `tollbook statements {period:%Y-%m}` writes them.")
    return ClosedAlready(
        f"{said}. `tollbook statements {period:%Y-%m}` writes its statements again, `tollbook reopen {period:%Y-%m}` opens it."
    )


def _to_disk(folder: Path) -> None:
    """What is committed must not name files that a power cut can lose."""
    for place in (*(file for file in folder.iterdir() if file.is_file()), folder):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
