"""Months by hand: a workspace whose ledger and measured hours are written down, closed without a build."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from tests.workspaces import write_workspace
from tollbook.finance import freeze, ledger, periods
from tollbook.warehouse import schema
from tollbook.workspace import Workspace

AUGUST, SEPTEMBER, OCTOBER = date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)

_PAYER = "team varchar, cost_centre varchar, tenant varchar"
#: Of what is frozen or checked: the columns that statements and a close read.
_MARTS = {
    "intermediate.int_costs__detailed": "usage_date date",
    "finance.fct_shared_costs": "usage_date date, step integer, rule_id varchar, rule_version integer, shared_cost_of varchar, method varchar,"
    " entry varchar, bucket varchar, team varchar, cost_centre varchar, component varchar, moved_cost decimal(38, 12)",
    "engineering.fct_gpu_hours": f"usage_date date, {_PAYER}, is_held boolean, layer varchar, gpu_model varchar, model varchar,"
    " held_gpu_hours double, gpu_hours double, allocated_cost decimal(38, 12)",
    "product.fct_token_costs": f"usage_date date, {_PAYER}, model varchar, token_count bigint, vendor_cost decimal(38, 12),"
    " serving_cost decimal(38, 12)",
    "product.fct_tenant_costs": "usage_date date",
    "engineering.fct_jobs": f"last_ended_at timestamp, {_PAYER}, is_serving boolean, gpu_hours double, cost decimal(38, 12)",
    "finance.fct_charges": "billing_period date, charge_date date, source_name varchar, file_name varchar, file_row bigint",
    "finance.fct_invoice_tie_out": "billing_period date, invoice_issuer_name varchar, invoice_id varchar, status varchar,"
    " delta_cost decimal(38, 12), billing_currency varchar, issuer_invoice_count bigint",
    "finance.fct_billing_periods": "billing_period date, billed_by varchar, state varchar, cost_without_invoice decimal(38, 12),"
    " currency_code varchar",
    "quality.fct_bridge": "billing_period date, billed_by varchar, term varchar, cost decimal(38, 12), rows_compared bigint",
    "quality.fct_reconciliation": "source_name varchar, billing_period date, cost_delta decimal(38, 12), rows_delta bigint, rows_compared bigint",
    "quality.fct_unpriced_usage": "model varchar, price_kind varchar, quantity bigint, usage_date date",
    "quality.fct_usage_tie_out": "provider_name varchar, state varchar, unmatched_cost decimal(38, 12), currency_code varchar, usage_date date",
    "config.teams": "team varchar, cost_centre varchar, valid_from date, valid_to date",
    "config.budgets": "scope varchar, scope_value varchar, cost varchar, amount_per_month decimal(38, 12), currency varchar,"
    " valid_from date, valid_to date",
}


def month_of(root: Path, charges: list[dict], currency: str = "USD", files: dict[str, str] | None = None) -> Workspace:
    """A workspace whose ledger holds these charges: see ``charge``."""
    workspace = write_workspace(root, f"currency: {currency}\n", files)
    with workspace.connect() as db:
        schema.ensure(db)
        marts(db)
    post(workspace, charges)
    return workspace


def marts(db: duckdb.DuckDBPyConnection) -> None:
    """What a build leaves for statements and a close, empty where it is not there yet."""
    for name in ("intermediate", "finance", "engineering", "product", "quality"):
        db.execute(f"create schema if not exists {name}")
    for table, columns in _MARTS.items():
        db.execute(f"create table if not exists {table} ({columns})")


def charge(cost: str, day: date = SEPTEMBER, **said) -> dict:
    """A charge of team a (cost centre CC-A) for usage on a day, posted in that month; ``said`` replaces what a posting says."""
    month = day.replace(day=1)
    usual = {"accounting_period": month, "reason": "usage", "account": "cost", "usage_date": day, "billing_period": month}
    payer = {"source_name": "bill", "billed_by": "Nimbus", "basis": "billed", "team": "a", "cost_centre": "CC-A", "bucket": "allocated"}
    return usual | payer | {"component": "Compute", "posted_cost": Decimal(cost)} | said


def post(workspace: Workspace, charges: list[dict]) -> None:
    """Add charges to the ledger, with the bridge as their other side."""
    with workspace.connect() as db:
        moment = ledger.next_moment(db)
        db.execute("create temp table charged as select accounting_period, reason, columns(* exclude (posting_id, run_id, recorded_at,"
                   " accounting_period, reason)) from ledger.postings limit 0")  # fmt: skip
        for one in charges:
            said = one | {"currency_code": workspace.currency}
            other = {name: said[name] for name in ("accounting_period", "reason", "usage_date", "billing_period", "currency_code")}
            for row in (said, other | {"account": "bridge", "posted_cost": -one["posted_cost"]}):
                db.execute(f"insert into charged by name select {', '.join(f'? as {name}' for name in row)}", list(row.values()))
        ledger.append(db, f"run-{moment}", moment, "select * from charged")


def add(workspace: Workspace, table: str, **row) -> None:
    """One row of a table; columns that are not named are NULL."""
    with workspace.connect() as db:
        db.execute(f"insert into {table} by name select {', '.join(f'? as {name}' for name in row)}", list(row.values()))


def close(workspace: Workspace, period: date = SEPTEMBER) -> Path:
    """Freeze a month, record that it is closed (and the months before it); its folder."""
    with workspace.connect() as db:
        moment = ledger.next_moment(db)
        times = db.execute(
            "select count(folder) from ledger.period_events where accounting_period = ? and event = 'closed'", [period]
        ).fetchone()[0]
        folder = workspace.closed / (f"{period:%Y-%m}" + (f"-{times + 1}" if times else ""))
        freeze.freeze(db, period, moment, workspace.currency, folder)
        earlier = db.execute(
            "select distinct accounting_period from ledger.postings where accounting_period < ? order by 1", [period]
        ).fetchall()
        for (month,) in earlier:
            if month not in ledger.closed_periods(db):
                periods.record(db, month, "closed", moment, "controller", "month-end")
        periods.record(db, period, "closed", moment, "controller", "month-end", freeze.content_hash(folder), folder.name)
    return folder


def reopen(workspace: Workspace, period: date = SEPTEMBER) -> datetime:
    """Record that a month is reopened; when."""
    with workspace.connect() as db:
        moment = ledger.next_moment(db)
        periods.record(db, period, "reopened", moment, "controller", "wrong bill")
    return moment
