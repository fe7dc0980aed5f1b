"""A ledger without a build: the lines that models would compute are written by hand, and posted."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import jinja2

from tests import scratch_ledgers
from tollbook.finance import ledger, periods
from tollbook.finance.tables import KEYS
from tollbook.warehouse import schema

PROJECT = Path(__file__).parents[1] / "dbt_project"
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
MONTHS = (date(2026, 7, 1), date(2026, 8, 1), SEPTEMBER)
MARTS = ("fct_postings", "fct_chargeback_days", "fct_chargeback", "fct_trial_balance")
TEAMS = {"research": "CC-100", "search": "CC-200", "ops": "CC-100"}
_COST = {"account": "cost", "bucket": "allocated", "source_name": "bill", "billed_by": "Nimbus", "currency_code": "USD"}


def scratch(teams: dict[str, str] | None = None, file: Path | str = ":memory:") -> duckdb.DuckDBPyConnection:
    """An empty ledger in dollars, in a file where one is named; ``teams`` to cost centre."""
    db = duckdb.connect(str(file))
    db.execute("set TimeZone = 'UTC'")
    schema.ensure(db)
    scratch_ledgers.tables_of_a_build(db)
    db.execute("create table config.workspace as select 'USD' as currency_code")
    db.execute("create table config.teams (team varchar, cost_centre varchar, valid_from date, valid_to date)")
    for team, cost_centre in (teams or {}).items():
        db.execute("insert into config.teams values (?, ?, null, null)", [team, cost_centre])
    columns = ", ".join(f"{name} {kind}" for name, kind in KEYS.items())
    db.execute(f"create table intermediate.int_ledger_lines ({columns}, posted_cost decimal(38, 12))")
    return db


def line(cost: str, day: date, **said) -> dict:
    """A line of a charge on a day; ``said`` replaces what a charge of a team by a bill of its month says."""
    return _COST | {"usage_date": day, "billing_period": day.replace(day=1), "basis": "billed", "posted_cost": Decimal(cost)} | said


def other_side(account: str, cost: str, day: date, **said) -> dict:
    """A line that is no charge."""
    return line(cost, day, **{"account": account, "bucket": None, "team": None} | said)


def post(
    db: duckdb.DuckDBPyConnection, run_id: str, lines: list[dict] | None = None, rules: str = "rules", models: str = "models"
) -> ledger.Posted:
    """Post what the models would compute now by these rules and models; the same as before without ``lines``."""
    if lines is not None:
        db.execute("delete from intermediate.int_ledger_lines")
        for one in lines:
            db.execute(
                f"insert into intermediate.int_ledger_lines by name select {', '.join(f'? as {name}' for name in one)}", list(one.values())
            )
    db.execute("delete from meta.build_state")
    db.execute("insert into meta.build_state values (now()::timestamp, now()::timestamp, ?, ?)", [rules, models])
    db.execute(
        "insert into meta.unposted_days select usage_date from intermediate.int_ledger_lines union select usage_date from ledger.postings"
    )
    return ledger.post(db, run_id)


def close(db: duckdb.DuckDBPyConnection, period: date) -> datetime:
    """Record that a month is closed; when."""
    moment = ledger.next_moment(db)
    periods.record(db, period, "closed", moment, "controller", "month-end")
    return moment


def balance(db: duckdb.DuckDBPyConnection, where: str = "true") -> Decimal:
    """The sum of the postings that fit."""
    return db.execute(f"select coalesce(sum(posted_cost), 0) from ledger.postings where {where}").fetchone()[0]


def night(db: duckdb.DuckDBPyConnection, run_id: str, charges: list[dict], **said) -> ledger.Posted:
    """Post charges, with the bridge to their bills as the other side."""
    bridge = [
        other_side(
            "bridge", str(-one["posted_cost"]), one["usage_date"], billing_period=one["billing_period"], source_name=one["source_name"]
        )
        for one in charges
    ]
    return post(db, run_id, [*charges, *bridge], **said)


def delivery(db: duckdb.DuckDBPyConnection, name: str, days: list[date], source: str = "bill", **said) -> None:
    """A delivery of some days that was loaded just now: the file's name is its id and, unless said, its partition."""
    row = {"source_name": source, "table_name": "billing_lines", "partition_key": name, "delivery_id": name, "status": "loaded"} | said
    db.execute(
        f"insert into meta.deliveries by name select {', '.join(f'? as {column}' for column in row)}, [?] as file_names,"
        " now()::timestamp as loaded_at, now()::timestamp as delivered_at, true as is_current",
        [*row.values(), f"landing/{source}/{name}"],
    )
    db.execute("insert into meta.delivery_days select ?, ?, unnest(?::date[])", [source, name, days])


def marts(db: duckdb.DuckDBPyConnection, *names: str) -> None:
    """The models of these marts of finance as views, as dbt makes them."""
    for name in names:
        model = (PROJECT / "models/marts/finance" / f"{name}.sql").read_text()
        macros = jinja2.Template((PROJECT / "macros/chargeback.sql").read_text()).module
        query = jinja2.Template(model).render(
            config=lambda **_: "", source=lambda *of: ".".join(of), ref="finance.{}".format, chargeback_columns=macros.chargeback_columns
        )
        db.execute(f"create or replace view finance.{name} as {query}")


def charge(cost: str, day: date, team: str, **said) -> dict:
    """A charge of one of ``TEAMS``."""
    return line(cost, day, team=team, cost_centre=TEAMS[team], component="gpu", **said)


def marts_now(db: duckdb.DuckDBPyConnection, what: str) -> list[tuple]:
    """The rows of a mart or macro, in an order."""
    return db.execute(f"from {what} order by all").fetchall()


def drawn_ledger(seed: int) -> tuple[duckdb.DuckDBPyConnection, list]:
    """A ledger after nights of changes drawn at random, with months closed in between; what the marts said after each."""
    draw = random.Random(seed)
    db = scratch(TEAMS)
    marts(db, *MARTS)
    lines, closed, seen = {}, 0, []
    for number in range(18):
        for _ in range(draw.randint(0, 4)):
            day = draw.choice(MONTHS) + timedelta(days=draw.randint(0, 2))
            key = (day, draw.choice(list(TEAMS)), draw.choice(["gpu", "Storage"]))
            lines[key] = Decimal(draw.randint(-(10**9), 10**12)).scaleb(-draw.choice([0, 2, 12]))
        if lines and draw.random() < 0.3:
            del lines[draw.choice(list(lines))]
        night(db, f"n{number}", [charge(str(cost), day, team) | {"component": what} for (day, team, what), cost in lines.items()])
        if number in (6, 12):
            close(db, MONTHS[closed])
            closed += 1
        (moment,) = db.execute("select max(recorded_at) from ledger.runs").fetchone()
        seen.append((moment, {name: marts_now(db, f"finance.{name}") for name in MARTS[1:]}))
    return db, seen
