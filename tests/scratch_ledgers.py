"""Ledgers without a build: what the models would compute is written down, the rest is the product's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from tollbook.finance import ledger, periods
from tollbook.finance.tables import KEYS

D = Decimal
#: What a charge of these tests says; the rest of a posting's key is NULL.
CHARGE = {
    "usage_date": "date",
    "billing_period": "date",
    "source_name": "varchar",
    "billed_by": "varchar",
    "invoice_id": "varchar",
    "basis": "varchar",
    "team": "varchar",
    "cost_centre": "varchar",
    "bucket": "varchar",
    "component": "varchar",
    "rule": "varchar",
    "currency_code": "varchar",
    "cost": "decimal(38, 12)",
}
_SAID = {
    "source_name": "bill",
    "billed_by": "Nimbus",
    "invoice_id": None,
    "basis": "billed",
    "cost_centre": None,
    "bucket": "allocated",
    "component": "Compute",
    "rule": "owners/tag@1",
    "currency_code": "USD",
}
_SIDES = {
    # (account, basis, keys kept, sign, of which charges), as in int_ledger_lines and int_ledger__bills
    ("case when bucket = 'rounding' then 'rounding' when component = 'Tax' then 'tax' else 'cost' end", "basis"): (
        [name for name in CHARGE if name in KEYS and name != "invoice_id"],
        1,
        "true",
    ),
    ("case when basis = 'estimated' then 'accrual' else 'bridge' end", "basis"): (
        ["usage_date", "billing_period", "source_name", "billed_by", "basis", "currency_code"],
        -1,
        "true",
    ),
    ("'bridge'", "'invoiced'"): (["usage_date", "billing_period", "source_name", "billed_by", "currency_code"], 1, "basis = 'billed'"),
    ("'clearing'", "'invoiced'"): (
        ["usage_date", "billing_period", "source_name", "billed_by", "invoice_id", "currency_code"],
        -1,
        "basis = 'billed'",
    ),
}


def _computed() -> str:
    sides = []
    for (account, basis), (kept, sign, where) in _SIDES.items():
        said = {name: name if name in kept else f"null::{kind}" for name, kind in KEYS.items()} | {"account": account, "basis": basis}
        sides.append(
            f"select {', '.join(f'{value} as {name}' for name, value in said.items())}, ({sign} * sum(cost))::decimal(38, 12) as posted_cost"
            f" from charges where {where} group by all"
        )
    return " union all ".join(sides)


def connect(place: Path | str) -> duckdb.DuckDBPyConnection:
    """A connection as the product opens them; one thread does for a few rows."""
    db = duckdb.connect(str(place), config={"threads": 1})
    db.execute("set TimeZone = 'UTC'")
    return db


def write(place: Path | str = ":memory:") -> duckdb.DuckDBPyConnection:
    """An empty ledger in a DuckDB file, with the tables that posting reads; what is computed is a view of table ``charges``."""
    # a process that only posts starts without it
    from tollbook.warehouse import schema

    db = connect(place)
    schema.ensure(db)
    db.execute(f"create table charges ({', '.join(f'{name} {kind}' for name, kind in CHARGE.items())})")
    tables_of_a_build(db)
    db.execute(f"create view intermediate.int_ledger_lines as {_computed()}")
    return db


def tables_of_a_build(db) -> None:
    """What posting reads beside the lines, empty."""
    db.execute("create schema intermediate; create schema finance")
    db.execute("create table config.policies (policy varchar, value varchar, valid_from date, valid_to date)")
    db.execute(
        "create table finance.fct_charges (source_name varchar, charge_date date, charge_period_end timestamp, billing_period date, charge_class varchar)"
    )


def charge(db, day: date | str, team: str | None, cost, **columns) -> None:
    """A charge that the models compute; its bill is of the month of usage unless ``billing_period`` says another."""
    row = _SAID | {"usage_date": day, "billing_period": str(day)[:7] + "-01", "team": team, "cost": cost} | columns
    db.execute(f"insert into charges by name select {', '.join(f'${name}::{CHARGE[name]} as {name}' for name in row)}", row)


def deliver(db, days: Iterable[date | str], source: str = "bill", table: str = "billing_lines", partition: str = "p") -> None:
    """A delivery that covers the days and replaces the one of its partition."""
    (number,) = db.execute("select count(*) from meta.deliveries").fetchone()
    old = "select delivery_id from meta.deliveries where source_name = $1 and partition_key = $2 and is_current"
    db.execute(f"delete from meta.delivery_days where source_name = $1 and delivery_id in ({old})", [source, partition])
    db.execute("update meta.deliveries set is_current = false where source_name = ? and partition_key = ?", [source, partition])
    db.execute(
        "insert into meta.deliveries by name select $1 as source_name, $2 as table_name, $3 as partition_key, $4 as delivery_id,"
        " now()::timestamp as loaded_at, true as is_current, 'loaded' as status",
        [source, table, partition, f"d{number}"],
    )
    db.execute("insert into meta.delivery_days select $1, $2, unnest($3::date[])", [source, f"d{number}", [str(day) for day in days]])


def build(db, *days: date | str, config: str = "rules 1", models: str = "models 1") -> None:
    """What a build leaves behind: the days it computed (all that are known where none is named), and what it went by."""
    known = "select usage_date from charges union select usage_date from ledger.postings"
    built(db, [str(day) for day in days] or [str(day) for (day,) in db.execute(known).fetchall()], config, models)


def built(db, days: list[str], config: str, models: str) -> None:
    """What a build of these days, and no other, leaves behind."""
    db.execute("delete from meta.build_state")
    db.execute("insert into meta.build_state values (now()::timestamp, null, ?, ?)", [config, models])
    db.execute("insert into meta.unposted_days select unnest($1::date[])", [days])


def close(db, month: date | str, event: str = "closed"):
    """Close a month, or reopen it; the moment that is recorded."""
    moment = ledger.next_moment(db)
    periods.record(db, date.fromisoformat(f"{str(month)[:7]}-01"), event, moment, "A. Approver", "")
    return moment


def posted(db, run_id: str, where: str = "bucket is not null") -> list[tuple]:
    """What a run posted: (accounting month, day, team, reason, cost), in order."""
    return db.execute(
        "select strftime(accounting_period, '%Y-%m'), usage_date::varchar, team, reason, posted_cost from ledger.postings"
        f" where run_id = ? and ({where}) order by all",
        [run_id],
    ).fetchall()


def charged(db, by: str = "team", until=None) -> dict:
    """The ledger's balance of what is charged, by team unless another column is named; as known at ``until`` where that is given."""
    return dict(
        db.execute(
            f"select {by}, sum(posted_cost) from ledger.postings where bucket is not null and recorded_at <= coalesce($1::timestamp, 'infinity')"
            " group by all having sum(posted_cost) <> 0 order by all",
            [until],
        ).fetchall()
    )


_UNEVEN = """
select 'run' as scope, run_id as said, sum(posted_cost) from ledger.postings group by run_id having sum(posted_cost) <> 0
union all
select 'run and period', run_id || accounting_period, sum(posted_cost) from ledger.postings group by run_id, accounting_period, currency_code
having sum(posted_cost) <> 0
union all
select 'all', '', sum(posted_cost) from ledger.postings having sum(posted_cost) <> 0
"""


def assert_balanced(db) -> None:
    """The trial balance is 0 in all, of each run, and of each run's part in an accounting period and currency."""
    assert db.execute(_UNEVEN).fetchall() == []


def unlike_computed(db) -> list[tuple]:
    """Where the ledger's balance, key by key, is not what is computed from nothing."""
    key = ", ".join(KEYS)
    return db.execute(
        f"select {key}, sum(posted_cost) from (select {key}, posted_cost from intermediate.int_ledger_lines"
        f" union all select {key}, -posted_cost from ledger.postings) group by all having sum(posted_cost) <> 0 order by all"
    ).fetchall()


def days_of(month: str, count: int = 31) -> list[date]:
    """The first ``count`` days of a month, or as many as it has."""
    first = date.fromisoformat(f"{month}-01")
    return [day for day in (first + timedelta(number) for number in range(count)) if day.month == first.month]
