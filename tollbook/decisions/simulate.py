"""What other rules would have charged: some days once more on a copy of the warehouse, beside what is charged now.

Nothing of the workspace changes. The write lock is held while the warehouse is copied (not while the copy is built), so a night
that starts meanwhile waits for a copy of a file at most, and a copy is never of a half-written file.
"""

from __future__ import annotations

import csv
import shutil
import signal
import tempfile
import threading
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from tollbook.errors import BusyError, ConfigError, TollbookError
from tollbook.report.formats import UNKNOWN, amount, counted, difference, exact, total
from tollbook.report.money import BUCKETS
from tollbook.report.tables import Column, Row, Table, in_currency
from tollbook.sources.typing import text
from tollbook.warehouse import build, config, lock, rule_coverage
from tollbook.warehouse.rule_tables import ABSENT, BUILT_IN_SPLITS, DATED, NO_COST, TABLES
from tollbook.workspace import Workspace

#: What the rows are told apart by; what no team pays for stays apart.
DIMENSIONS = {
    "team": ("team", "bucket"),
    "cost_centre": ("cost_centre", "bucket"),
    "component": ("component",),
    "bucket": ("bucket",),
}
#: Rules that look at a day alone. Any other may decide on the day on which a line or holding began, for all its days.
_DAY_BY_DAY = {"policies", "resource_rates", "cost_sharing", "prices", "price_books"}
#: Rules that change what there is to charge: estimates where a bill is not in yet, and what a bill is worth in other money.
_ESTIMATES = {"prices", "price_books"}
_RATES = {"exchange_rates"}
_ROOM = 64_000_000
_FICLONE = 0x40049409


@dataclass(frozen=True)
class Line:
    """What one payer is charged: ``keys`` by the dimension's columns, NULL as an empty text."""

    keys: tuple[str, ...]
    now: Decimal
    simulated: Decimal

    @property
    def difference(self) -> Decimal:
        return difference(self.simulated, self.now)

    @property
    def percent(self) -> Decimal | None:
        """The difference in percent of what is charged now; None where that is nothing."""
        return 100 * self.difference / self.now if self.now else None


@dataclass(frozen=True)
class Simulation:
    """The outcome: ``files`` by rule table; ``days`` simulated, in order; ``fault`` says why it cannot be right, if so."""

    files: dict[str, Path]
    days: list[date]
    by: str
    currency: str
    lines: list[Line]
    notes: list[str]
    fault: str | None
    #: what each rule of cost_sharing.csv did on these days, where that file is simulated
    sharing: list[dict] = field(default_factory=list)

    @property
    def whole(self) -> Line:
        return _sum(self.lines)

    @property
    def headline(self) -> str:
        said = ", ".join(f"{table}.csv from {file}" for table, file in self.files.items())
        first, last = self.days[0], self.days[-1]
        span = f"{first}" if first == last else f"{first} to {last}"
        return f"Simulated: {said}; {span} ({counted(len(self.days), 'day')})"


def simulate(
    workspace: Workspace,
    files: Sequence[Path],
    first: date | None = None,
    last: date | None = None,
    by: str = "team",
    tell: Callable[[str], None] = print,
    wait_seconds: float = 3600,
) -> Simulation:
    """Charge the days from ``first`` to ``last`` (the last month that has data by default) by the rules in ``files``.

    Each file stands for the one of its kind in ``config/`` and decides all those days; the other rules are those in force.

    Raises:
        ConfigError: a file is no rule file, or cannot be used.
        TollbookError: the days are not built, the disk is too small, or a model failed.
        BusyError: somebody else still wrote after ``wait_seconds``.
    """
    told_apart = {table: file for table in TABLES for file in _of(table, files)}
    with _ended_in_order(), _copy(workspace, first, last, tell, wait_seconds) as (copy, days, left_out):
        with copy.connect() as db:
            db.execute("create schema simulation")
            db.execute(
                "create table simulation.charged_now as from intermediate.int_chargeback_days where usage_date in (select unnest(?::date[]))",
                [days],
            )
            closure = days if set(told_apart) <= _DAY_BY_DAY else _with_beginnings(db, days)
            _replace_rules(copy, db, told_apart, closure)
        try:
            build.rebuild(copy, closure, _models_of(told_apart))
        except TollbookError as error:
            said = str(error).partition("\nMore in ")[0].replace("nothing was published", "nothing was simulated")
            raise TollbookError(said) from error
        with copy.connect(read_only=True) as db:
            lines, conserved = _compare(db, days, by), _conserved(db, days, told_apart)
            sharing = _shared(db, days) if "cost_sharing" in told_apart else []
    notes, fault = _judged(lines, told_apart, conserved, workspace.currency)
    notes += [_told_of(rule, workspace.currency) for rule in sharing]
    if left_out:
        notes.append(f"{counted(len(left_out), 'day')} from {left_out[0]} on left out: loaded since the last build, or not built whole.")
    return Simulation(told_apart, days, by, workspace.currency, lines, notes, fault, sharing)


def _of(table: str, files: Sequence[Path]) -> list[Path]:
    """The file that is of this table, if one is."""
    own = [file for file in files if _table_of(file) == table]
    if len(own) > 1:
        raise ConfigError(f"{own[0]} and {own[1]} are both a {table}.csv: give one.")
    return own


def _table_of(file: Path) -> str:
    """Which rule table a file is, by its name or by its columns.

    Raises:
        ConfigError: it is none that decides a charge.
    """
    kinds = "; ".join(f"{table}.csv ({', '.join(columns)})" for table, columns in TABLES.items() if table not in NO_COST)
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file.")
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            header = {name.strip().lower() for name in next(csv.reader(content), [])}
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: cannot be read as CSV in UTF-8: {error}") from error
    table = file.stem.lower()
    if table not in TABLES:
        fitting = [
            name
            for name, columns in TABLES.items()
            if {column for column in columns | DATED if (name, column) not in ABSENT} <= header <= {*columns, *DATED}
        ]
        if len(fitting) != 1:
            said = f"its columns ({', '.join(sorted(header))}) are" if header else "its name is"
            raise ConfigError(f"{file}: is no rule file: {said} those of none. Rule files, each with valid_from and valid_to: {kinds}.")
        (table,) = fitting
    if table in NO_COST:
        raise ConfigError(f"{file}: {table}.csv decides no charge, so there is nothing to simulate. These do: {kinds}.")
    return table


@contextmanager
def _copy(
    workspace: Workspace, first: date | None, last: date | None, tell: Callable[[str], None], wait_seconds: float
) -> Iterator[tuple[Workspace, list[date], list[date]]]:
    """A workspace of its own with a copy of the warehouse, the days to simulate and those left out; gone at the end, however it ends."""
    if not workspace.warehouse.is_file():
        raise TollbookError(f"nothing is built in {workspace.root} yet. Run `tollbook run`.")
    workspace.temp.mkdir(parents=True, exist_ok=True)
    folder, alive = None, None
    try:
        with lock.writing(workspace, "tollbook simulate", wait_seconds, tell):
            _remove_leftovers(workspace)
            try:
                db = workspace.connect(read_only=True)
            except duckdb.IOException as error:
                raise BusyError(f"{workspace.warehouse} is open in another program: {str(error).splitlines()[0]}") from error
            with db:
                days, left_out, part = _days(db, first, last)
                folder = Path(tempfile.mkdtemp(prefix="simulate-", dir=workspace.temp))
                alive = FileLock(folder / "alive")
                alive.acquire(timeout=0)
                _copy_warehouse(workspace.warehouse, folder, part)
        yield Workspace(folder, workspace.settings), days, left_out
    finally:
        if alive is not None:
            alive.release()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a signal to end run the `finally`s, as Ctrl-C does; only a program's main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _remove_leftovers(workspace: Workspace) -> None:
    """Remove the copies of simulations that were killed; those at work hold their lock."""
    for folder in workspace.temp.glob("simulate-*"):
        try:
            with FileLock(folder / "alive", timeout=0):
                pass
        except (Timeout, OSError):
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _copy_warehouse(warehouse: Path, folder: Path, part: float) -> None:
    """Copy the file and what a killed process left to be written into it; shares its blocks where the filesystem can."""
    files = [*warehouse.parent.glob(f"{warehouse.name}.wal*"), warehouse]
    size = sum(file.stat().st_size for file in files)
    # what the days' models write anew, as a part of all there is
    room = int(size * min(1.0, part)) + _ROOM
    for file in files:
        if _shares_blocks(file, folder / file.name):
            size -= file.stat().st_size
    free = shutil.disk_usage(folder).free
    if free < size + room:
        raise TollbookError(
            f"not enough space on the disk of {folder.parent}: a copy of the warehouse and its days need {(size + room) / 1e6:,.0f} MB,"
            f" {free / 1e6:,.0f} MB are free. Nothing was changed."
        )
    for file in files:
        if not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def _shares_blocks(source: Path, target: Path) -> bool:
    """Clone a file on a filesystem that can (Btrfs, XFS): at once, and without room."""
    try:
        import fcntl

        with source.open("rb") as original, target.open("wb") as clone:
            fcntl.ioctl(clone, _FICLONE, original.fileno())
    except (ImportError, OSError):
        target.unlink(missing_ok=True)
        return False
    return True


# Days that a load touched since the last build, and those of a build that did not finish, are not what they seem.
_STANDING = """
with newest_build as (
    select status, started_at from meta.runs where command = 'build' order by started_at desc limit 1
),

unfinished as (
    select usage_date from meta.touched_days
    union
    select usage_date from meta.build_days
    where exists (
        select 1 from newest_build
        where status <> 'succeeded' and started_at > (select max(built_at) from meta.build_state)
    )
)

select
    built.usage_date,
    built.usage_date in (select unfinished.usage_date from unfinished)
        or built.usage_date >= coalesce((select min(open_from) from meta.touched_open), '9999-12-31') as is_unfinished
from (select distinct usage_date from intermediate.int_chargeback_days) as built
order by 1
"""


def _days(db: duckdb.DuckDBPyConnection, first: date | None, last: date | None) -> tuple[list[date], list[date], float]:
    """The days to simulate, those left out because they are not built whole, and which part of all built days is simulated."""
    try:
        has_state = db.execute("select count(*) > 0 from meta.build_state").fetchone()[0]
        standing = dict(db.execute(_STANDING).fetchall()) if has_state else {}
    except duckdb.CatalogException:
        standing = {}
    whole = [day for day, unfinished in standing.items() if not unfinished]
    if not whole:
        why = "all days are loaded anew, or their build did not finish" if standing else "nothing is built yet"
        raise TollbookError(f"there is no day to simulate: {why}. Run `tollbook build` first.")
    if first is None and last is None:
        first = whole[-1].replace(day=1)
        last = first.replace(day=monthrange(first.year, first.month)[1])
    first, last = first or min(standing), last or max(standing)
    wanted = {day: unfinished for day, unfinished in standing.items() if first <= day <= last}
    days = [day for day, unfinished in wanted.items() if not unfinished]
    if first > last:
        raise TollbookError(f"{first} to {last} are no days: the first is after the last.")
    if not wanted:
        raise TollbookError(f"nothing is charged from {first} to {last}: the data is of {min(standing)} to {max(standing)}.")
    if not days:
        raise TollbookError(
            f"{first} to {last} were loaded since the last build, or their build did not finish. Run `tollbook build` first."
        )
    return days, [day for day, unfinished in wanted.items() if unfinished], len(days) / len(standing)


def _with_beginnings(db: duckdb.DuckDBPyConnection, days: list[date]) -> list[date]:
    """The days, and those on which the billing lines and holdings began that cost something on them: owners are decided there."""
    began = db.execute(
        """
        select distinct charge_date from intermediate.int_charges__owned
        where accrues_from_at < $last + interval 1 day and accrues_until_at >= $first
        union
        select distinct started_at::date from raw.holdings
        where started_at < $last + interval 1 day and coalesce(ended_at, '9999-12-31') >= $first
        """,
        {"first": days[0], "last": days[-1]},
    ).fetchall()
    return sorted({*days, *(row[0] for row in began)})


def _replace_rules(copy: Workspace, db: duckdb.DuckDBPyConnection, files: dict[str, Path], days: list[date]) -> None:
    for table, file in files.items():
        config.replace(db, table, file)
    if "resource_rates" in files:
        unknown = db.execute(
            "select value from config.policies where policy = 'node_cost_split' and value not in (select split from config.resource_rates)"
            f" and value not in ({', '.join(map(text, BUILT_IN_SPLITS))}) limit 1"
        ).fetchone()
        if unknown:
            raise ConfigError(
                f"{files['resource_rates']}: has no split {unknown[0]!r}, which the policy node_cost_split names. Add it,"
                " or give a policies.csv beside it."
            )
    if {"policies", "resource_rates"} & files.keys():
        by_default = {name: Path(f"config/{name}.csv") for name in ("policies", "resource_rates")}
        given = by_default | files
        rule_coverage.refuse_uncovered_splits(db, given["policies"], given["resource_rates"], (min(days), max(days) + timedelta(days=1)))
    if "exchange_rates" in files:
        try:
            build.refuse_unknown_currencies(copy, db)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(copy.config / "exchange_rates.csv"), str(files["exchange_rates"]))) from error


def _models_of(files: dict[str, Path]) -> list[str]:
    """Which models lie between the rules and the chargeback, and those that hold the last built days only."""
    return [f"{method},+int_chargeback_days" for method in ("config.materialized:table", *(f"source:config.{table}+" for table in files))]


def _compare(db: duckdb.DuckDBPyConnection, days: list[date], by: str) -> list[Line]:
    """One line per payer, teams first, the dearest first."""
    keys = ", ".join(f"coalesce({column}, '') as {column}" for column in DIMENSIONS[by])
    rows = db.execute(
        f"""
        select {keys}, sum(charged_now), sum(charged_simulated)
        from (
            select *, charged_cost as charged_now, 0::decimal(38, 12) as charged_simulated from simulation.charged_now
            union all
            select *, 0::decimal(38, 12), charged_cost from intermediate.int_chargeback_days where usage_date in (select unnest(?::date[]))
        )
        group by all
        """,
        [days],
    ).fetchall()
    lines = [Line(row[:-2], *row[-2:]) for row in rows]
    return sorted(
        lines, key=lambda line: ("bucket" in DIMENSIONS[by] and line.keys[-1] != "allocated", -max(line.now, line.simulated), line.keys)
    )


def _conserved(db: duckdb.DuckDBPyConnection, days: list[date], files: dict[str, Path]) -> bool:
    """Whether what these rules cannot change is the same, to the last digit."""
    bills = "basis = 'billed'" if _ESTIMATES & set(files) else "true"
    return db.execute(
        f"select (select sum(charged_cost) from simulation.charged_now where {bills}) is not distinct from"
        f" (select sum(charged_cost) from intermediate.int_chargeback_days where {bills} and usage_date in (select unnest(?::date[])))",
        [days],
    ).fetchone()[0]


def _shared(db: duckdb.DuckDBPyConnection, days: list[date]) -> list[dict]:
    """What each rule of cost_sharing.csv that is in force on one of the days did, in the order in which they decide."""
    result = db.execute(
        """
        with moved as (
            select rule_id, step, rule_version, count(*) as entries,
                coalesce(sum(moved_cost) filter (where entry = 'received'), 0)::decimal(38, 12) as moved_cost,
                coalesce(sum(kept_cost), 0)::decimal(38, 12) as kept_cost,
                string_agg(distinct kept_reason, ', ' order by kept_reason) as kept_reasons
            from intermediate.int_costs__shared where usage_date in (select unnest($days::date[])) group by all
        )
        select rules.rule_id, rules.step, rules.cost, coalesce(moved.entries, 0) > 0 as is_matched,
            coalesce(moved.moved_cost, 0)::varchar as moved_cost, coalesce(moved.kept_cost, 0)::varchar as kept_cost, moved.kept_reasons
        from config.cost_sharing as rules
        left join moved on moved.rule_id = rules.rule_id and moved.step = rules.step and moved.rule_version = rules.rule_version
        where exists (
            select 1 from (select unnest($days::date[]) as day) where coalesce(rules.valid_from, '0001-01-01') <= day
                and day < coalesce(rules.valid_to, '9999-12-31')
        )
        order by rules.step, rules.rule_id, rules.rule_version
        """,
        {"days": days},
    )
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _told_of(rule: dict, currency: str) -> str:
    said = f"Rule {rule['rule_id']} (step {rule['step']}, {rule['cost']})"
    if not rule["is_matched"]:
        return f"{said} matched nothing: there is no such cost on these days."
    kept = Decimal(rule["kept_cost"])
    why = f" ({rule['kept_reasons']})" if rule["kept_reasons"] else ""
    return f"{said} moved {amount(Decimal(rule['moved_cost']))} {currency}" + (
        f", kept {amount(kept)}{why}." if kept or why else ", kept nothing."
    )


def _sum(lines: list[Line]) -> Line:
    return Line(("total",), total(line.now for line in lines), total(line.simulated for line in lines))


def _judged(lines: list[Line], files: dict[str, Path], conserved: bool, currency: str) -> tuple[list[str], str | None]:
    """What to say of the total, and the fault if it changed where rules only say who pays."""
    whole = _sum(lines)
    if not whole.difference and conserved:
        return ["The total is the same to the last digit: the rules only say who pays."], None
    said = f"The total changes by {exact(whole.difference)} {currency}"
    if _RATES & set(files):
        return [f"{said}: exchange rates say what bills in other currencies are worth."], None
    if conserved:
        return [f"{said}, all of it estimates: prices say what is charged until a bill is in. What is billed stays the same."], None
    fault = f"{said}, but these rules only say who pays: this is a defect of Tollbook; do not use these figures."
    return [fault], fault


def table(of: Simulation) -> Table:
    """The simulation as a table of the report: one row per payer, and the total."""
    rows = []
    for line in of.lines:
        label = line.keys[0] or "(none)"
        bucket = line.keys[-1] if "bucket" in DIMENSIONS[of.by] else "allocated"
        if bucket != "allocated":
            label = BUCKETS.get(bucket, bucket)
        rows.append(Row((label, *_cells(line)), "" if bucket == "allocated" else "bucket"))
    return Table(
        "simulation",
        f"Charged now and as simulated{in_currency(of.currency)}",
        [Column(of.by.replace("_", " "), right=False), *(Column(title) for title in ("now", "simulated", "difference", "percent"))],
        [*rows, Row(("total", *_cells(of.whole)), "total")],
        "Nothing is charged on these days.",
        "Teams first, then what no team pays for. Percent is of what is charged now." if of.by in ("team", "cost_centre") else "",
        of.notes,
    )


def _cells(line: Line) -> tuple[str, ...]:
    signed = f"+{amount(line.difference)}" if line.difference > 0 else amount(line.difference)
    percent = UNKNOWN if line.percent is None else f"{line.percent:+,.1f} %" if line.difference else "0.0 %"
    return amount(line.now), amount(line.simulated), signed, percent


def records(of: Simulation) -> list[dict[str, str | None]]:
    """The simulation for machines: one record per payer, amounts with every digit, percent with four."""
    return [
        {name: key or None for name, key in zip(DIMENSIONS[of.by], line.keys, strict=True)}
        | _figures(line)
        | {"currency_code": of.currency}
        for line in of.lines
    ]


def document(of: Simulation) -> dict:
    """The records with what they are of: rules, days, total, notes."""
    return {"rules": of.files, "days": of.days, "total": _figures(of.whole), "rows": records(of), "sharing": of.sharing, "notes": of.notes}


def _figures(line: Line) -> dict[str, str | None]:
    # written out: a Decimal that is zero would be 0E-12
    percent = None if line.percent is None else f"{line.percent:.4f}"
    return {"now": f"{line.now:f}", "simulated": f"{line.simulated:f}", "difference": f"{line.difference:f}", "percent": percent}
