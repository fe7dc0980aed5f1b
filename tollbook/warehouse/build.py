"""Build the marts with dbt for the days that changed, and only those."""

from __future__ import annotations

import gc
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, TollbookError
from tollbook.warehouse import config
from tollbook.workspace import Workspace

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"


def build(workspace: Workspace, full_refresh: bool, tell: Callable[[str], None], restate_from: date | None = None) -> int:
    """Run ``dbt build`` over the changed days; return their number. ``restate_from``: changed rules decide from that day on.

    The touched days are forgotten only when the build has finished, so a build that failed is made up by the next one.

    Raises:
        ConfigError: a rule file cannot be used, or a billed currency has no exchange rate.
        TollbookError: a model or a test failed.
    """
    models_hash = _models_hash()
    with workspace.connect() as db:
        config_hash = config.load(workspace, db, restate_from, tell)
        refuse_unknown_currencies(workspace, db)
        horizon, days, full_refresh = _plan(db, config_hash, models_hash, full_refresh)
    tell(f"building {days} {'day' if days == 1 else 'days'}{' from nothing' if full_refresh else ''}")
    _dbt(workspace, full_refresh)
    with workspace.connect() as db:
        db.begin()
        db.execute("insert into meta.unposted_days select usage_date from meta.build_days")
        if full_refresh:
            # a day that is no longer there is taken back
            db.execute("insert into meta.unposted_days select distinct usage_date from ledger.postings")
            db.execute("insert into meta.unposted_days select distinct usage_date from intermediate.int_ledger_lines")
        db.execute("delete from meta.touched_days")
        db.execute("delete from meta.touched_open")
        db.execute("delete from meta.build_state")
        db.execute("insert into meta.build_state values (now()::timestamp, ?, ?, ?)", [horizon, config_hash, models_hash])
        db.commit()
    return days


def rebuild(workspace: Workspace, days: Iterable[date], select: Sequence[str]) -> None:
    """Compute the models that ``select`` names (as dbt does) once more for built days, by what ``config`` holds; tests do not run.

    Raises:
        TollbookError: other models made this warehouse, or a model failed.
    """
    with workspace.connect() as db:
        state = db.execute("select models_hash from meta.build_state").fetchone()
        if state is None or state[0] != _models_hash():
            raise TollbookError("this version of Tollbook has not built the warehouse yet: `tollbook build` first.")
        db.execute("delete from meta.build_days")
        db.execute("insert into meta.build_days select distinct unnest(?::date[])", [list(days)])
    _dbt(workspace, select=select)


def _plan(db: duckdb.DuckDBPyConnection, config_hash: str, models_hash: str, full_refresh: bool):
    """Fill ``meta.build_days``: what was touched, what a moved horizon opens, or everything when a rule or model changed."""
    state = db.execute("select horizon_at, config_hash, models_hash from meta.build_state").fetchone()
    horizon = db.execute(_HORIZON).fetchone()[0]
    db.execute("create or replace table meta.horizon as select ?::timestamp as horizon_at", [horizon])
    full_refresh = full_refresh or state is None or state[2] != models_hash
    everything = full_refresh or state[1] != config_hash
    db.execute("delete from meta.build_days")
    if everything:
        db.execute("insert into meta.build_days select usage_date from meta.delivery_days union select usage_date from meta.touched_days")
        open_from = db.execute(_FIRST_OPEN).fetchone()[0]
    else:
        db.execute("insert into meta.build_days select distinct usage_date from meta.touched_days")
        # the last samples of a day stand on past midnight, and a trace goes on past it
        db.execute(
            "insert into meta.build_days select distinct usage_date + 1 from meta.touched_days where table_name in ('gpu_samples', 'spans')"
            " and usage_date + 1 in (select delivery_days.usage_date from meta.delivery_days) except select usage_date from meta.build_days"
        )
        (open_from,) = db.execute("select min(open_from) from meta.touched_open").fetchone()
        if state[0] != horizon and db.execute(_FIRST_OPEN).fetchone()[0] is not None:
            moved = min(moment for moment in (state[0], horizon) if moment is not None).date()
            open_from = min(moved, open_from or moved)
    if open_from is not None and horizon is not None:
        until = max(horizon, state[0] if state and state[0] else horizon)
        db.execute(
            "insert into meta.build_days select distinct unnest(generate_series(?::timestamp, ?::timestamp - interval 1 microsecond,"
            " interval 1 day))::date except select usage_date from meta.build_days",
            [open_from, until],
        )
    days = db.execute("select count(*) from meta.build_days").fetchone()[0]
    return horizon, days, full_refresh


# How far telemetry and bills reach: what has no end yet is taken to last until then. A register alone reaches as far as its
# running costs, else to the day of its newest delivery.
_HORIZON = """
select coalesce(
    max(seen_at),
    (select max(ended_at) from raw.asset_costs),
    (select date_trunc('day', max(delivered_at)) from meta.deliveries where is_current and table_name = 'assets')
) from (
    select max(least(charge_period_end, billing_period_end)) as seen_at from raw.billing_lines where charge_category = 'Usage'
    union all select max(sampled_at) from raw.gpu_samples
    union all select max(requested_at) from raw.requests
    union all select max(coalesce(ended_at, started_at)) from raw.holdings
    union all select max(coalesce(ended_at, started_at)) from raw.capacity
)
"""

# The first day from which something without an end lasts to the horizon, or is charged no further than it.
_FIRST_OPEN = """
select min(started_at)::date from (
    select started_at from raw.holdings where ended_at is null union all select started_at from raw.capacity where ended_at is null
    union all select started_at from raw.gpu_instances where ended_at is null
    union all select started_at from raw.attachments where ended_at is null
    union all select in_service_at from raw.assets union all select started_at from raw.asset_costs
)
"""


# Billing lines, and months of the register, whose currency has no rate on the first day of their billing period.
_WITHOUT_RATE = f"""
with lines as (
    select billing_currency, source_name, billed_cost, (billing_period_start + interval 14 hour)::date as billing_period
    from raw.billing_lines where billing_currency <> $1

    union all

    select upper(currency), source_name, 0, unnest(generate_series(first_at, until_at - interval 1 microsecond, interval 1 month))::date
    from (
        select currency, source_name, date_trunc('month', in_service_at) as first_at,
            least(coalesce(disposed_at + interval 1 day, in_service_at + to_months(life_months)), horizon_at) as until_at
        from raw.assets cross join ({_HORIZON}) as horizon (horizon_at)
        union all
        select currency, source_name, date_trunc('month', started_at) as first_at, least(ended_at, horizon_at) as until_at
        from raw.asset_costs cross join ({_HORIZON}) as horizon (horizon_at)
    )
    where upper(currency) <> $1
)

select billing_currency, string_agg(distinct source_name, ', '), count(*), sum(billed_cost),
    strftime(min(billing_period), '%Y-%m'), strftime(max(billing_period), '%Y-%m')
from lines
where not exists (
    select 1 from config.exchange_rates as rates
    where rates.from_currency = lines.billing_currency and rates.to_currency = $1
        and coalesce(rates.valid_from, '0001-01-01') <= lines.billing_period and lines.billing_period < coalesce(rates.valid_to, '9999-12-31')
)
group by billing_currency order by billing_currency
"""


def refuse_unknown_currencies(workspace: Workspace, db: duckdb.DuckDBPyConnection) -> None:
    missing = db.execute(_WITHOUT_RATE, [workspace.currency]).fetchall()
    if missing:
        said = "; ".join(
            f"{code}: {rows:,} lines of {names}, {cost:,.2f} {code} billed in {first}{'' if first == last else f' to {last}'}"
            for code, names, rows, cost, first, last in missing
        )
        raise ConfigError(
            f"no exchange rate to {workspace.currency} for {said}. Add a rate in force on the first day of each billing period to "
            f"{workspace.config / 'exchange_rates.csv'} and run again; what is published stays."
        )


def _models_hash() -> str:
    digest = hashlib.sha256()
    for folder in ("models", "macros", "seeds"):
        for file in sorted((PROJECT / folder).rglob("*")):
            if file.suffix in (".sql", ".csv", ".yml", ".py"):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _dbt(workspace: Workspace, full_refresh: bool = False, select: Sequence[str] = ()) -> None:
    # dbt reads its profile from the environment; it takes seconds to import, so only here
    target = workspace.temp / "dbt"
    target.mkdir(parents=True, exist_ok=True)
    place = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target), "--log-path", str(target)]
    place += ["--log-level", "none", "--log-level-file", "info"]
    arguments = ["build", *place, "--exclude-resource-type", "unit_test", "--threads", "1", "--indirect-selection", "cautious"]
    if full_refresh:
        arguments += ["--full-refresh"]
        # what dbt remembers of other models' files can contradict these
        place += ["--no-partial-parse"]
    if select:
        arguments += ["--resource-type", "model", "--select", *select]
    with _environment(workspace):
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner, dbtRunnerResult

        try:
            manifest = _manifest(place, f"{_models_hash()} {workspace.warehouse.stem}")
            # the parsed models are a million objects that stay: collecting garbage need not walk them each time
            gc.freeze()
            outcome = manifest if isinstance(manifest, dbtRunnerResult) else dbtRunner(manifest=manifest).invoke(arguments)
        finally:
            gc.unfreeze()
            # the adapter keeps the file open for the life of the process: no one else could write
            DuckDBConnectionManager.close_all_connections()
    if outcome.success:
        return
    if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
        raise outcome.exception
    if outcome.result is None or not hasattr(outcome.result, "results"):
        raise TollbookError(f"dbt did not run: {outcome.exception}")
    bad = [one for one in outcome.result.results if one.status in ("error", "fail", "runtime error")]
    said = "\n".join(
        f"  {one.node.resource_type} {one.node.name} ({one.node.original_file_path}): {_first_lines(one.message)}" for one in bad
    )
    raise TollbookError(f"{len(bad)} models or tests failed; nothing was published:\n{said}\nMore in {target / 'dbt.log'}.")


#: The models as dbt parsed them, by their hash: builds of one process need not parse them again.
_parsed: dict[str, object] = {}


def _manifest(place: Sequence[str], key: str):
    """The parsed models, a copy of their own for each build; dbt's result where they cannot be parsed."""
    from dbt.cli.main import dbtRunner

    if key not in _parsed:
        outcome = dbtRunner().invoke(["parse", *place])
        if not outcome.success:
            return outcome
        _parsed.clear()
        _parsed[key] = outcome.result
    return _parsed[key].deepcopy()


def _first_lines(message: str | None) -> str:
    lines = [line.strip() for line in (message or "").splitlines() if line.strip() and not line.strip().startswith(">")]
    return " ".join(lines[:4])


@contextmanager
def _environment(workspace: Workspace):
    wanted = {
        "TOLLBOOK_WAREHOUSE": str(workspace.warehouse),
        "TOLLBOOK_TEMP": str(workspace.temp),
        "TOLLBOOK_DUCKDB_CONFIG": json.dumps(workspace.duckdb_config()),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
