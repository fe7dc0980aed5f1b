"""The ledger's tables: only ever added to, never rebuilt, kept through every change of version."""

from __future__ import annotations

import duckdb

#: What is stated: no currency has more than four decimals.
STATED = "decimal(38, 4)"
#: What a posting is told apart by; the ledger is brought to ``int_ledger_lines`` by these.
KEYS = {
    "account": "varchar",
    "usage_date": "date",
    "billing_period": "date",
    "source_name": "varchar",
    "billed_by": "varchar",
    "basis": "varchar",
    "invoice_id": "varchar",
    "commitment_id": "varchar",
    "team": "varchar",
    "cost_centre": "varchar",
    "tenant": "varchar",
    "project": "varchar",
    "bucket": "varchar",
    "component": "varchar",
    "service_name": "varchar",
    "gpu_model": "varchar",
    "model": "varchar",
    "rule": "varchar",
    "currency_code": "varchar",
}

TABLES = {
    # one row per run, key and accounting period: debits positive, credits negative, each run adds up to 0
    "postings": {
        "posting_id": "bigint",
        "run_id": "varchar",
        "recorded_at": "timestamp",
        "accounting_period": "date",
        "reason": "varchar",
    }
    | KEYS
    | {"posted_cost": "decimal(38, 12)"},
    # one row per run that looked whether there was something to post, with what it went by
    "runs": {
        "run_id": "varchar",
        "recorded_at": "timestamp",
        "built_at": "timestamp",
        "horizon_at": "timestamp",
        "config_hash": "varchar",
        "models_hash": "varchar",
        "postings": "bigint",
    },
    # one row per item that a month was closed without, and what was accrued for it
    "waivers": {
        "accounting_period": "date",
        "check_id": "varchar",
        "item": "varchar",
        "reason": "varchar",
        "approved_by": "varchar",
        "recorded_at": "timestamp",
        "accrual_cost": "decimal(38, 12)",
        "team": "varchar",
        "billed_by": "varchar",
    },
    # one row per closing or reopening of an accounting period; the newest of a period counts
    "period_events": {
        "accounting_period": "date",
        "event": "varchar",
        "recorded_at": "timestamp",
        "approved_by": "varchar",
        "reason": "varchar",
        "content_hash": "varchar",
        "folder": "varchar",
    },
    # one row per statement issued: a recipient's month, a version for each close
    "statements": {
        "statement_id": "varchar",
        "accounting_period": "date",
        "version": "integer",
        "recipient_kind": "varchar",
        "recipient": "varchar",
        "mode": "varchar",
        "issued_at": "timestamp",
        "known_at": "timestamp",
        "locale": "varchar",
        "currency_code": "varchar",
        "charged_cost": "decimal(38, 12)",
        "stated_amount": STATED,
        "content_hash": "varchar",
        "folder": "varchar",
    },
    # one row per line of a statement, as it was stated
    "statement_lines": {
        "statement_id": "varchar",
        "line_number": "integer",
        "section": "varchar",
        "usage_period": "date",
        "billed_by": "varchar",
        "component": "varchar",
        "service_name": "varchar",
        "gpu_model": "varchar",
        "model": "varchar",
        "project": "varchar",
        "reason": "varchar",
        "charged_cost": "decimal(38, 12)",
        "stated_amount": STATED,
        "currency_code": "varchar",
    },
    # one row per thing said of a disputed line, in the order in which it was said
    "disputes": {
        "dispute_id": "varchar",
        "statement_id": "varchar",
        "line_number": "integer",
        "event": "varchar",
        "recorded_at": "timestamp",
        "said_by": "varchar",
        "note": "varchar",
        "disputed_amount": STATED,
    },
}


def ensure(db: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing; add columns that a newer version of Tollbook knows, and give others the decimals that it keeps.

    What is recorded stays as it is: a type only ever gives way to one that holds all of it.
    """
    db.execute("create schema if not exists ledger")
    db.execute("create table if not exists meta.unposted_days (usage_date date)")
    for table, columns in TABLES.items():
        db.execute(f"create table if not exists ledger.{table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        present = {row[0]: row[1].lower().replace(",", ", ") for row in db.execute(f"describe ledger.{table}").fetchall()}
        for name, kind in columns.items():
            if name not in present:
                db.execute(f"alter table ledger.{table} add column {name} {kind}")
            elif present[name] != kind:
                db.execute(f"alter table ledger.{table} alter column {name} set data type {kind}")
