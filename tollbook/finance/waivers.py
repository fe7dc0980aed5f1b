"""What a month may be closed without, and what is accrued in it: ``config/close_waivers.csv`` and what is waived at the close, each with a reason
and a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import duckdb

from tollbook.errors import ConfigError, TollbookError
from tollbook.finance import accruals
from tollbook.finance.close_checks import WAIVABLE, Check
from tollbook.finance.currencies import coins, minor_units
from tollbook.sources.typing import reason, text, typed
from tollbook.warehouse.rule_files import refuse_ragged
from tollbook.workspace import Workspace

FILE = "close_waivers.csv"
#: In column check: not waived is something that a check found, but a cost accrued whose bill is to come.
ACCRUAL = "accrual"
#: Its columns; the last three may be absent or empty.
COLUMNS = {
    "period": "varchar",
    "check": "varchar",
    "item": "varchar",
    "reason": "varchar",
    "approved_by": "varchar",
    "accrual_cost": "decimal(38, 12)",
    "team": "varchar",
    "billed_by": "varchar",
}
_REQUIRED = list(COLUMNS)[:5]


@dataclass(frozen=True)
class Waiver:
    """One item that a month is closed without; ``accrual_cost`` is booked in it and taken back in the next open month."""

    check_id: str
    item: str
    reason: str
    approved_by: str
    accrual_cost: Decimal | None = None
    team: str | None = None
    billed_by: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.check_id, self.item


def of_file(workspace: Workspace, period: date) -> list[Waiver]:
    """The waivers of ``config/close_waivers.csv`` for ``period``; none where there is no file.

    Raises:
        ConfigError: it lacks a column, or a value of it cannot be used; the message names file, row and column.
    """
    file = workspace.config / FILE
    if not file.is_file():
        return []
    refuse_ragged(file)
    if not file.read_text().strip():
        return []
    with duckdb.connect() as db:
        try:
            db.execute(
                f"create table waivers as select *, row_number() over () as row_number from read_csv({text(str(file))}, header = true,"
                " delim = ',', all_varchar = true)"
            )
        except duckdb.Error as error:
            raise ConfigError(f"{file}: cannot be read as CSV: {str(error).splitlines()[0]}") from error
        present = {row[0] for row in db.execute("describe waivers").fetchall()} - {"row_number"}
        wrong = sorted(set(_REQUIRED) - present) + sorted(present - set(COLUMNS))
        if wrong:
            raise ConfigError(f"{file}: column missing or unknown: {', '.join(wrong)}. Its columns are {', '.join(COLUMNS)}.")
        for name in set(COLUMNS) - present:
            db.execute(f"alter table waivers add column {name} varchar")
        decimals = minor_units(workspace.currency)
        exact, _ = typed("accrual_cost", "VARCHAR", "decimal(38, 20)")
        amount, failed = typed("accrual_cost", "VARCHAR", COLUMNS["accrual_cost"])
        checks = (*WAIVABLE, ACCRUAL)
        refusals = [(name, f'"{name}" is null or trim("{name}") = \'\'', "is missing") for name in _REQUIRED]
        refusals += [
            ("period", "not regexp_full_match(trim(period), '[0-9]{4}-(0[1-9]|1[0-2])')", "is no month such as 2026-09"),
            ("check", f'trim("check") not in {checks}', f"is not one of {', '.join(checks)}"),
            ("accrual_cost", failed, reason(COLUMNS["accrual_cost"])),
            (
                "accrual_cost",
                f"trim(\"check\") = '{ACCRUAL}' and coalesce({amount}, 0) = 0",
                f"is no cost to accrue; a row with check {ACCRUAL} needs one",
            ),
            (
                "accrual_cost",
                # what earlier months were closed with stays as it is; digits past the 12th are gone from the amount
                f"trim(period) = '{period:%Y-%m}' and ({amount} <> round({amount}, {decimals}) or {exact} <> {amount})",
                f"is finer than the coin of {workspace.currency}: say it to at most {decimals} decimals",
            ),
            (
                "item",
                "row_number > (select min(row_number) from waivers as other where trim(other.period) = trim(waivers.period)"
                ' and trim(other."check") = trim(waivers."check") and trim(other.item) = trim(waivers.item))',
                "is waived twice in that month",
            ),
        ]
        for column, condition, says in refusals:
            row = db.execute(f'select row_number, "{column}" from waivers where {condition} order by 1 limit 1').fetchone()
            if row:
                raise ConfigError(f"{file}, row {row[0]}, column {column}: {row[1]!r} {says}. Mend the file; nothing was closed.")
        names = ", ".join(f"nullif(trim(\"{name}\"), '')" for name in ("check", "item", "reason", "approved_by"))
        rows = db.execute(
            f"select {names}, {amount}, nullif(trim(team), ''), nullif(trim(billed_by), '') from waivers where trim(period) = ? order by row_number",
            [f"{period:%Y-%m}"],
        ).fetchall()
    return [Waiver(*row) for row in rows]


def of_options(given: Sequence[str], checks: Sequence[Check], approved_by: str) -> list[Waiver]:
    """The waivers of ``check:item=reason``, of what ``checks`` found: a name may have any sign in it.

    Raises:
        TollbookError: there is no such item to waive, or no reason.
    """
    names = sorted(
        ((check.check_id, item.name) for check in checks for item in check.items if check.check_id in WAIVABLE and item.blocks),
        key=lambda name: (-len(name[1]), name),
    )
    waivers = []
    for option in given:
        key = next((name for name in names if option.startswith(f"{name[0]}:{name[1]}=")), None)
        if key is None:
            known = ", ".join(sorted(f"{check}:{item}" for check, item in names)) or "nothing"
            raise TollbookError(f"--waive {option!r} is not check:item=reason of something to waive. To waive there is: {known}.")
        why = option.removeprefix(f"{key[0]}:{key[1]}=").strip()
        if not why:
            raise TollbookError(f"--waive {option!r}: say why, after the `=`.")
        waivers.append(Waiver(*key, why, approved_by))
    return waivers


def needed(found: Sequence[Waiver], checks: Sequence[Check]) -> list[Waiver]:
    """Those of ``found`` that waive what a check found to stop the close, and what is accrued anyway; the last of an item counts."""
    stopped = {(check.check_id, item.name) for check in checks for item in check.items if item.blocks}
    return list({waiver.key: waiver for waiver in found if waiver.key in stopped or waiver.check_id == ACCRUAL}.values())


def accrual(db: duckdb.DuckDBPyConnection, period: date, waivers: Sequence[Waiver], currency: str) -> Check:
    """What the close would book by hand, as a row of its table; it fails where ``accruals.book`` would. Only reads."""
    threshold = "each can be booked"
    try:
        rows = accruals.checked(db, to_accrue(db, period, waivers, currency))
    except TollbookError as error:
        return Check(ACCRUAL, "fail", str(error), threshold, f"Mend it in config/{FILE}.")
    if not rows:
        return Check(ACCRUAL, "pass", "nothing is accrued by hand", threshold)
    said = [
        f"{item}: "
        + (f"{coins(cost, currency)} {currency}, {team or 'unowned'}, {biller or 'no biller'}" if cost else "accrued before, taken back")
        for item, cost, team, biller, _ in rows
    ]
    booked = any(row[1] for row in rows)
    said.append(f"{coins(sum(row[1] for row in rows), currency)} {currency} in all")
    advice = (
        f"Booked in {period:%Y-%m}, taken back in the next open month."
        if booked
        else "What the close before booked is reversed, in both months."
    )
    return Check(ACCRUAL, "pass", "; ".join(said), threshold, advice)


def record(db: duckdb.DuckDBPyConnection, period: date, recorded_at: datetime, waivers: Sequence[Waiver]) -> None:
    """Add the waivers to ``ledger.waivers``; belongs into the caller's transaction."""
    for one in waivers:
        db.execute(
            "insert into ledger.waivers by name select ?::date as accounting_period, ? as check_id, ? as item, ? as reason, ? as approved_by,"
            " ?::timestamp as recorded_at, ?::decimal(38, 12) as accrual_cost, ? as team, ? as billed_by",
            [period, one.check_id, one.item, one.reason, one.approved_by, recorded_at, one.accrual_cost, one.team, one.billed_by],
        )


def to_accrue(db: duckdb.DuckDBPyConnection, period: date, used: Sequence[Waiver], currency: str) -> list[dict]:
    """What ``accruals.book`` is to book: the accruals of ``used``, and 0 for what an earlier close of ``period`` accrued and this one does not."""
    items = {
        f"{one.check_id}:{one.item}": {"reason": one.reason, "cost": one.accrual_cost, "team": one.team, "billed_by": one.billed_by}
        for one in used
        if one.accrual_cost
    }
    for item in accruals.booked(db, period):
        items.setdefault(item, {"reason": "waived no longer", "cost": Decimal(0), "team": None, "billed_by": None})
    return [{"item": item, "currency_code": currency} | rest for item, rest in items.items()]
