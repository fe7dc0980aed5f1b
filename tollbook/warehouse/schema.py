"""Create the raw and meta tables of a warehouse; safe to call before every write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance import tables as ledger_tables
from tollbook.workspace import canonical_tables

#: What every raw row says of where it came from.
ORIGIN = {"source_name": "varchar", "delivery_id": "varchar", "file_name": "varchar", "file_row": "bigint"}

_META = """
create schema if not exists raw;
create schema if not exists meta;
create schema if not exists config;

-- one row per source, partition and content; one of each partition is current
create table if not exists meta.deliveries (
    source_name varchar, table_name varchar, partition_key varchar, delivery_id varchar, version varchar,
    file_names varchar[], bytes bigint, delivered_at timestamp, loaded_at timestamp, is_current boolean,
    rows_delivered bigint, rows_loaded bigint, rows_quarantined bigint,
    status varchar, error varchar, columns varchar[], notes varchar
);
-- the days that a loaded delivery covers
create table if not exists meta.delivery_days (source_name varchar, delivery_id varchar, usage_date date);
-- days that changed since the last build that finished
create table if not exists meta.touched_days (usage_date date, table_name varchar);
-- first days of loaded or replaced intervals without an end: they reach to the horizon, which only the build knows
create table if not exists meta.touched_open (open_from date);
-- the days that the running build computes again
create table if not exists meta.build_days (usage_date date);
create table if not exists meta.build_state (built_at timestamp, horizon_at timestamp, config_hash varchar, models_hash varchar);
-- a check of the key that users are pseudonymised with, never the key
create table if not exists meta.user_key (key_check varchar);
create table if not exists meta.runs (
    run_id varchar, command varchar, started_at timestamp, finished_at timestamp, status varchar, message varchar
);
create table if not exists meta.check_results (
    run_id varchar, check_id varchar, edge varchar, subject varchar, severity varchar, status varchar,
    rows_seen bigint, observed double, threshold varchar, message varchar, checked_at timestamp
);
-- rules by version: what decided a day goes on deciding it
create table if not exists meta.rule_versions (
    table_name varchar, rule_key varchar, content varchar, valid_from date, valid_to date,
    in_force_from date, in_force_to date, rule_version integer
);
create table if not exists raw.quarantine (
    source_name varchar, delivery_id varchar, file_name varchar, file_row bigint,
    column_name varchar, value varchar, reason varchar, quarantined_at timestamp
);
"""


#: What earlier versions built and this one does not: it would be published as it was.
_RETIRED = ("engineering.fct_job_costs", "intermediate.int_job_days")


@contextmanager
def built() -> Iterator[None]:
    """What is read here needs tables that this version built or published; where one of them or a column is not there, say so.

    Raises:
        TollbookError: it is not there.
    """
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise TollbookError(f"this version of Tollbook has not built the warehouse yet: `tollbook run` first ({error})") from error


def ensure(db: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing; add columns that a newer version of Tollbook knows, and drop what it no longer builds."""
    db.execute(_META)
    ledger_tables.ensure(db)
    for table in _RETIRED:
        db.execute(f"drop table if exists {table}")
    for table, definition in canonical_tables().items():
        wanted = {name: column["type"] for name, column in definition["columns"].items()} | ORIGIN
        columns = ", ".join(f"{name} {kind}" for name, kind in wanted.items())
        db.execute(f"create table if not exists raw.{table} ({columns})")
        present = {row[0] for row in db.execute(f"describe raw.{table}").fetchall()}
        for name, kind in wanted.items():
            if name not in present:
                db.execute(f"alter table raw.{table} add column {name} {kind}")
