"""Load the rules of ``config/`` into the ``config`` schema: dated, typed, each row with the rule it came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources.typing import quoted, reason, text, typed
from tollbook.workspace import Workspace

_DATED = {"valid_from": "date", "valid_to": "date"}

#: File name (without .csv) to its columns; all rules are dated, [valid_from, valid_to), empty means open.
TABLES: dict[str, dict[str, str]] = {
    "teams": {"team": "varchar", "cost_centre": "varchar"},
    "owners": {"rule_id": "varchar", "priority": "integer", "field": "varchar", "pattern": "varchar", "team": "varchar"},
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


def load(workspace: Workspace, db: duckdb.DuckDBPyConnection) -> str:
    """Replace every ``config`` table by what the files say; return the hash of it all, which changes when a rule does.

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
                db.execute("insert into config.owners values ('default', 100, 'tag:team', '*', '{value}', null, null, null)")
        own = ", ".join(f"({text(source.name)}, {source.own})" for source in workspace.sources) or "(null, null)"
        db.execute(
            "create or replace table config.sources as"
            f" select * from (values {own}) as listed (source_name, is_own) where source_name is not null"
        )
        db.execute(f"create or replace table config.workspace as select {text(workspace.currency)} as currency_code")
        digest.update(own.encode())
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
    _refuse(db, file, "valid_to", "try_cast(valid_to as date) <= try_cast(valid_from as date)", "is not after valid_from")
    db.execute(f"insert into config.{table} select {', '.join(values)}, rule_row from rules")


def _refuse(db: duckdb.DuckDBPyConnection, file: Path, column: str, condition: str | None, says: str) -> None:
    if condition is None:
        return
    row = db.execute(f"select rule_row, {quoted(column)} from rules where {condition} limit 1").fetchone()
    if row:
        raise ConfigError(f"{file}, row {row[0]}, column {column}: {row[1]!r} {says}. Mend the file; the rules in force stay.")
