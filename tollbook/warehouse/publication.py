"""Publish: copy the audited marts to a file of their own and swap it in; readers never see half a night."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

from tollbook.errors import GateError
from tollbook.finance import as_of, ledger
from tollbook.sources.typing import text
from tollbook.workspace import STORAGE_VERSION, Workspace

SCHEMAS = ("finance", "engineering", "product", "quality")
#: What is looked at in the warehouse, a day at a time: published it would be as large as the logs.
KEPT_BACK = ("fct_requests",)


def publish(workspace: Workspace, tell: Callable[[str], None]) -> None:
    """Swap in ``published/tollbook.duckdb``, ``published/parquet`` and the report, each whole or not at all.

    Raises:
        GateError: no audit has passed since the last build, or it was not posted.
    """
    run_id, warnings = audit_of(workspace)
    workspace.published.mkdir(exist_ok=True)
    new_db = workspace.published_db.with_suffix(".new")
    new_parquet = workspace.published / "parquet.new"
    for leftover in (new_db, new_db.with_name(new_db.name + ".wal")):
        leftover.unlink(missing_ok=True)
    shutil.rmtree(new_parquet, ignore_errors=True)

    with workspace.connect() as db:
        if not ledger.is_posted(db):
            raise GateError("nothing is published: the ledger does not have the newest build yet. Run `tollbook post` first.")
        # a file of its own, in a format that older clients read
        db.execute(f"attach {text(str(new_db))} as published (storage_version {text(STORAGE_VERSION)})")
        marts = db.execute(
            "select table_schema, table_name from information_schema.tables"
            f" where table_catalog = current_catalog() and table_schema in {SCHEMAS} and not list_contains($1, table_name) order by all",
            [list(KEPT_BACK)],
        ).fetchall()
        for schema, table in marts:
            db.execute(f"create schema if not exists published.{schema}")
            db.execute(f"create table published.{schema}.{table} as from {schema}.{table}")
            target = new_parquet / schema
            target.mkdir(parents=True, exist_ok=True)
            db.execute(f"copy published.{schema}.{table} to {text(str(target / f'{table}.parquet'))} (format parquet, compression zstd)")
        db.execute(
            "create table published.quality.publication as select now()::timestamp as published_at, ? as run_id, ? as status,"
            " ? as warnings, (select max(usage_date) from finance.fct_chargeback_days) as newest_usage_date,"
            " (select max(recorded_at) from (select recorded_at from ledger.runs union all select recorded_at from ledger.postings"
            " union all select recorded_at from ledger.period_events union all select recorded_at from ledger.disputes)) as known_at",
            [run_id, "warned" if warnings else "clean", warnings],
        )
        as_of.create_macros(db, "published")
        db.execute("detach published")
    os.replace(new_db, workspace.published_db)
    _swap_folder(new_parquet, workspace.published / "parquet")
    _write_report(workspace)
    tell(f"published {len(marts)} marts to {workspace.published_db}" + (f", marked with {warnings} warnings" if warnings else ""))


def audit_of(workspace: Workspace) -> tuple[str, int]:
    """The run of the newest audit and how many warnings it had.

    Raises:
        GateError: no audit has run since the last build, it did not pass, or a newer build did not finish.
    """
    with workspace.connect() as db:
        return audit_in(db)


def audit_in(db: duckdb.DuckDBPyConnection) -> tuple[str, int]:
    """As ``audit_of``, on a connection to the warehouse."""
    row = db.execute(
        """
        select run_id, count(*) filter (where status = 'error'), count(*) filter (where status = 'warn')
        from meta.check_results
        where checked_at > coalesce((select max(built_at) from meta.build_state), '9999-12-31')
        group by run_id order by max(checked_at) desc limit 1
        """
    ).fetchone()
    newest = db.execute(
        "select status, started_at > (select max(built_at) from meta.build_state) from meta.runs where command = 'build'"
        " order by started_at desc limit 1"
    ).fetchone()
    if newest and newest[0] != "succeeded" and newest[1]:
        # what it computed stands beside what it did not come to
        raise GateError("nothing is posted or published: the newest build did not finish. Run `tollbook build` again.")
    if row is None:
        raise GateError("nothing is published: no audit has run since the last build. Run `tollbook check` first.")
    if row[1]:
        raise GateError(f"nothing is published: {row[1]} checks of severity error did not pass. See `tollbook check`.")
    return row[0], row[2]


def _swap_folder(new: Path, target: Path) -> None:
    old = target.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(new, target)
    shutil.rmtree(old, ignore_errors=True)


def _write_report(workspace: Workspace) -> None:
    # plotly takes a second to import
    from tollbook.report.page import write_report

    write_report(workspace.published_db, workspace.published / "report.html")


def connect(workspace: Workspace) -> duckdb.DuckDBPyConnection:
    """A read-only connection to what is published.

    Raises:
        GateError: nothing is published yet.
    """
    if not workspace.published_db.is_file():
        raise GateError(f"nothing is published in {workspace.root} yet. Run `tollbook run`.")
    db = duckdb.connect(str(workspace.published_db), read_only=True, config={"autoinstall_known_extensions": "false"})
    db.execute("set TimeZone = 'UTC'")
    return db
