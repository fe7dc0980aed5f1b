"""Load the rules of ``config/`` into the ``config`` schema: dated, typed, each row with the rule it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources.typing import quoted, reason, text, typed
from tollbook.warehouse import rule_history
from tollbook.workspace import Workspace

_DATED = {"valid_from": "date", "valid_to": "date"}

#: File name (without .csv) to its columns; all rules are dated, [valid_from, valid_to), empty means open.
TABLES: dict[str, dict[str, str]] = {
    "teams": {"team": "varchar", "cost_centre": "varchar"},
    "owners": {"rule_id": "varchar", "priority": "integer", "field": "varchar", "pattern": "varchar", "team": "varchar"},
    "virtual_tags": {
        "rule_id": "varchar",
        "priority": "integer",
        "field": "varchar",
        "pattern": "varchar",
        "tag": "varchar",
        "value": "varchar",
    },
    "required_tags": {"tag": "varchar"},
    "prices": {
        "provider": "varchar",
        "model": "varchar",
        "token_kind": "varchar",
        "price_per_million": "decimal(38,20)",
        "currency": "varchar",
        "region": "varchar",
        "service_tier": "varchar",
        "quantity_from": "decimal(38,20)",
        "time_from": "varchar",
        "time_to": "varchar",
    },
    "price_books": {"book": "varchar", "priority": "integer"},
    "exchange_rates": {"from_currency": "varchar", "to_currency": "varchar", "rate": "decimal(38,20)"},
    "policies": {"policy": "varchar", "value": "varchar"},
}
_CLOCK = "^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?Z?$|^24:00$|^$"
#: Columns that may be absent.
_ABSENT = {("prices", column) for column in ("region", "service_tier", "quantity_from", "time_from", "time_to")}
#: Columns that may be empty.
_OPTIONAL = {("teams", "cost_centre"), ("prices", "provider")} | _ABSENT
_CHOICES = {
    ("policies", "policy"): ("model_cost_charged_to",),
    ("policies", "value"): ("consumers", "owner"),
    ("prices", "token_kind"): ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "request"),
}


#: Columns that rules may name as `field`; `tag:<key>` beside them.
LINE_FIELDS = (
    "source_name",
    "billed_by",
    "billing_account_id",
    "sub_account_id",
    "sub_account_name",
    "service_name",
    "service_category",
    "sku_id",
    "region_id",
    "resource_id",
    "resource_name",
    "resource_type",
    "charge_category",
    "charge_description",
)
HOLDING_FIELDS = ("source_name", "namespace", "account", "user_name", "pool", "cluster", "name")
_FIELDS = {"owners": {*LINE_FIELDS, *HOLDING_FIELDS}, "virtual_tags": set(LINE_FIELDS)}
#: What no two rules may say for the same day.
_ONE_IN_FORCE = {
    "teams": "team",
    "exchange_rates": "from_currency || ' to ' || to_currency",
    "policies": "policy",
    "required_tags": "tag",
    "price_books": "book",
}


def load(workspace: Workspace, db: duckdb.DuckDBPyConnection, restate_from: date | None = None, tell: Callable[[str], None] = print) -> str:
    """Replace every ``config`` table by what the files say; return the hash of it all, which changes when a rule does.

    Rules of ``rule_history.VERSIONED`` tables that changed decide the days to come; ``restate_from`` has them decide from that
    day on.

    Raises:
        ConfigError: a file lacks a column, or a value of it cannot be used; nothing is replaced then.
    """
    digest = hashlib.sha256(workspace.currency.encode())
    db.begin()
    try:
        for table, columns in TABLES.items():
            file = workspace.config / f"{table}.csv"
            digest.update(file.read_bytes() if file.is_file() else b"absent")
            _load_table(db, table, columns | _DATED, file)
            if table == "owners" and not file.is_file():
                # without rules of its own a workspace goes by the tag that most have
                db.execute(
                    "create or replace table config.owners as select 'default' as rule_id, 100 as priority, 'tag:team' as field,"
                    " '*' as pattern, '{value}' as team, null::date as valid_from, null::date as valid_to, 1 as rule_version"
                )
            elif table in rule_history.VERSIONED:
                changed = rule_history.remember(db, table, columns | _DATED, restate_from)
                if changed:
                    tell(
                        f"{file.name}: {changed} {'rule' if changed == 1 else 'rules'} changed or new: in force for days not built yet."
                        " To have them decide from an earlier day on, build with --restate-from."
                    )
        own = ", ".join(f"({text(source.name)}, {source.own})" for source in workspace.sources) or "(null, null)"
        db.execute(
            "create or replace table config.sources as"
            f" select * from (values {own}) as listed (source_name, is_own) where source_name is not null"
        )
        db.execute(f"create or replace table config.workspace as select {text(workspace.currency)} as currency_code")
        digest.update(own.encode())
        digest.update(str(db.execute("select * from meta.rule_versions order by all").fetchall()).encode())
        db.commit()
    except Exception:
        db.rollback()
        raise
    return digest.hexdigest()


def _load_table(db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], file: Path) -> None:
    definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    db.execute(f"create or replace table config.{table} ({definition}, rule_row bigint)")
    if not file.is_file() or not file.read_text().strip():
        return
    try:
        db.execute(
            f"create or replace temp table rules as select *, row_number() over () as rule_row from read_csv({text(str(file))}, header = true, delim = ',',"
            " all_varchar = true)"
        )
    except duckdb.Error as error:
        raise ConfigError(f"{file}: cannot be read as CSV: {str(error).splitlines()[0]}") from error
    present = [row[0] for row in db.execute("describe rules").fetchall() if row[0] != "rule_row"]
    absent = [name for name in columns if (table, name) in _ABSENT and name not in present]
    if absent:
        db.execute(f"create or replace temp table rules as select *, {', '.join(f'null::varchar as {name}' for name in absent)} from rules")
        present += absent
    if set(present) != set(columns):
        missing, more = sorted(set(columns) - set(present)), sorted(set(present) - set(columns))
        said = "; ".join(
            part
            for part in (f"missing column {', '.join(missing)}" if missing else "", f"unknown column {', '.join(more)}" if more else "")
            if part
        )
        raise ConfigError(f"{file}: {said}. Its columns are {', '.join(columns)}.")
    values = []
    for name, kind in columns.items():
        value, failed = typed(name, "VARCHAR", kind)
        _refuse(db, file, name, failed, reason(kind))
        if name not in _DATED and (table, name) not in _OPTIONAL:
            _refuse(db, file, name, f"{quoted(name)} is null or trim({quoted(name)}) = ''", "is missing")
        if (table, name) in _CHOICES:
            choices = ", ".join(text(choice) for choice in _CHOICES[table, name])
            _refuse(db, file, name, f"{quoted(name)} not in ({choices})", f"is not one of {choices}")
        if name in ("time_from", "time_to"):
            _refuse(db, file, name, f"not regexp_matches({quoted(name)}, '{_CLOCK}')", "is no hour of the day, HH:MM in UTC")
        values.append(f"{value} as {name}")
    if table in _FIELDS:
        fields = ", ".join(text(field) for field in sorted(_FIELDS[table]))
        _refuse(
            db,
            file,
            "field",
            f"lower(trim(field)) not in ({fields}) and not lower(trim(field)) glob 'tag:?*'",
            f"is not tag:<key> or one of {fields}",
        )
    if table == "exchange_rates":
        _refuse(
            db,
            file,
            "rate",
            "try_cast(rate as decimal(38, 20)) <= 0 or try_cast(rate as decimal(38, 20)) >= 1000000"
            " or try_cast(rate as decimal(38, 20)) <> try_cast(rate as decimal(24, 18))",
            "is not above 0 and below a million with at most 18 decimals",
        )
    if table in _ONE_IN_FORCE:
        key = _ONE_IN_FORCE[table]
        _refuse(
            db,
            file,
            "valid_from",
            f"""rule_row in (
                select rule_row from (
                    select rule_row, coalesce(try_cast(valid_from as date), date '0001-01-01') < lag(
                        coalesce(try_cast(valid_to as date), date '9999-12-31')
                    ) over (partition by lower({key}) order by coalesce(try_cast(valid_from as date), date '0001-01-01'), rule_row) as starts_early
                    from rules
                ) where starts_early
            )""",
            f"lies inside the validity of an earlier row of the same {key.split(' ')[0].replace('from_currency', 'pair of currencies')}",
        )
    _refuse(db, file, "valid_to", "try_cast(valid_to as date) <= try_cast(valid_from as date)", "is not after valid_from")
    db.execute(f"insert into config.{table} select {', '.join(values)}, rule_row from rules")


def _refuse(db: duckdb.DuckDBPyConnection, file: Path, column: str, condition: str | None, says: str) -> None:
    if condition is None:
        return
    row = db.execute(f"select rule_row, {quoted(column)} from rules where {condition} limit 1").fetchone()
    if row:
        raise ConfigError(f"{file}, row {row[0]}, column {column}: {row[1]!r} {says}. Mend the file; the rules in force stay.")
