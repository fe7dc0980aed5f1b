"""A built sample month to close: copies of it, changes to its warehouse, and statements that only say that they were asked for."""

import hashlib
import shutil
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

from tollbook import finance
from tollbook.errors import TollbookError
from tollbook.workspace import Workspace

SEPTEMBER = date(2026, 9, 1)
POSTING = (
    "insert into ledger.postings by name select 900000 + row_number() over () as posting_id, 'by-hand' as run_id, now()::timestamp as recorded_at,"
    " 'usage' as reason, 'USD' as currency_code, 'Team' as component, * from (values {rows})"
    " as made (accounting_period, account, bucket, team, usage_date, billing_period, billed_by, basis, posted_cost)"
)


def copy(built: Path, target: Path) -> Workspace:
    """A workspace of its own with what a close reads."""
    target.mkdir()
    for name in ("tollbook.yml", "warehouse.duckdb"):
        shutil.copy(built / name, target)
    shutil.copytree(built / "config", target / "config")
    return Workspace.open(target)


def change(workspace: Workspace, *statements: str) -> None:
    with workspace.connect() as db:
        for statement in statements:
            db.execute(statement)


def post(workspace: Workspace, *rows: str) -> None:
    """Add postings as they are: (accounting_period, account, bucket, team, usage_date, billing_period, billed_by, basis, posted_cost)."""
    change(workspace, POSTING.format(rows=", ".join(rows)))


def ask(workspace: Workspace, query: str, *parameters) -> list[tuple]:
    with workspace.connect(read_only=True) as db:
        return db.execute(query, list(parameters)).fetchall()


def state(workspace: Workspace) -> dict[str, str]:
    """Every file of the workspace, but the one that writers wait at, with the hash of its content."""
    files = (file for file in workspace.root.rglob("*") if file.is_file() and file != workspace.lock_file)
    return {str(file.relative_to(workspace.root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def statements_that_note(calls: list, fault: str | None = None) -> ModuleType:
    """In place of the statements: what they were asked for goes to ``calls``; with ``fault`` they cannot be written."""
    module = ModuleType("tollbook.finance.statements")

    def issue(workspace, period, folder, out, tell):
        calls.append((period, folder, out))
        if fault:
            raise TollbookError(fault)
        with workspace.connect() as db:
            db.execute(
                "insert into ledger.statements by name select '2026-09/CC-100/1' as statement_id, ?::date as accounting_period,"
                " max(recorded_at) as known_at from ledger.period_events",
                [period],
            )
        return ["a statement"]

    module.issue = issue
    return module


def install(module: ModuleType) -> None:
    """Let ``module`` be what a close imports, in a process of its own."""
    sys.modules[module.__name__] = module
    finance.statements = module
