"""Load the rules of ``config/`` into the ``config`` schema: dated, typed, each row with the rule it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources.typing import quoted, reason, text, typed
from tollbook.warehouse import rule_coverage, rule_history
from tollbook.warehouse.rule_files import refuse_ragged
from tollbook.warehouse.rule_tables import (
    ABSENT,
    BUILT_IN_SPLITS,
    CHECKS,
    CHOICES,
    DATED,
    FIELDS,
    ONE_IN_FORCE,
    ONLY_SHOWN,
    OPTIONAL,
    POLICIES,
    SAME,
    TABLES,
    WHOLE_WORKSPACE,
)
from tollbook.workspace import Workspace

_CLOCK = "^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?Z?$|^24:00$|^$"
_COLUMNS = "select column_name from duckdb_columns() where schema_name = 'config' and table_name = ?"


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
            if table not in ONLY_SHOWN:
                digest.update(file.read_bytes() if file.is_file() else b"absent")
            # the owners' default is a rule of their history
            known = table != "owners" and "rule_version" in {row[0] for row in db.execute(_COLUMNS, [table]).fetchall()}
            _load_table(db, table, columns | DATED, file)
            if table in rule_history.VERSIONED:
                changed = rule_history.remember(db, table, columns | DATED, restate_from, known)
                if changed:
                    tell(
                        f"{file.name}: {changed} {'rule' if changed == 1 else 'rules'} changed or new: in force for days not built yet."
                        " To have them decide from an earlier day on, build with --restate-from."
                    )
        rule_coverage.refuse_uncovered_splits(db, workspace.config / "policies.csv", workspace.config / "resource_rates.csv")
        _refuse_other_currency(db, workspace)
        own = ", ".join(f"({text(source.name)}, {source.own}, {source.vendor_log})" for source in workspace.sources) or "(null, null, null)"
        db.execute(
            "create or replace table config.sources as"
            f" select * from (values {own}) as listed (source_name, is_own, is_vendor_log) where source_name is not null"
        )
        db.execute(f"create or replace table config.workspace as select {text(workspace.currency)} as currency_code")
        digest.update(own.encode())
        digest.update(str(db.execute("select * from meta.rule_versions order by all").fetchall()).encode())
        db.commit()
    except Exception:
        db.rollback()
        raise
    return digest.hexdigest()


def replace(db: duckdb.DuckDBPyConnection, table: str, file: Path) -> None:
    """Let ``file`` say what ``config.<table>`` holds, on all days and as if it always had: for a copy of the warehouse.

    Raises:
        ConfigError: the file lacks a column, or a value of it cannot be used.
    """
    columns = TABLES[table] | DATED
    _load_table(db, table, columns, file)
    if table in rule_history.VERSIONED:
        db.execute("delete from meta.rule_versions where table_name = ?", [table])
        rule_history.remember(db, table, columns, None)


def _load_table(db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], file: Path) -> None:
    """``config.<table>`` as the file has it."""
    _read_table(db, table, columns, file)
    if table == "owners":
        # without rules of its own a workspace goes by the tag that most have
        db.execute(
            "insert into config.owners by name select 'default' as rule_id, 100 as priority, 'tag:team' as field, '*' as pattern,"
            " '{value}' as team, 0 as rule_row where not exists (select 1 from config.owners)"
        )


def _read_table(db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], file: Path) -> None:
    definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    db.execute(f"create or replace table config.{table} ({definition}, rule_row bigint)")
    if not file.is_file():
        return
    refuse_ragged(file)
    if not file.read_text().strip():
        return
    try:
        db.execute(
            f"create or replace temp table rules as select *, row_number() over () as rule_row from read_csv({text(str(file))}, header = true, delim = ',',"
            " all_varchar = true)"
        )
    except duckdb.Error as error:
        raise ConfigError(f"{file}: cannot be read as CSV: {str(error).splitlines()[0]}") from error
    present = [row[0] for row in db.execute("describe rules").fetchall() if row[0] != "rule_row"]
    absent = [name for name in columns if (table, name) in ABSENT and name not in present]
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
        if name not in DATED and (table, name) not in OPTIONAL:
            _refuse(db, file, name, f"{quoted(name)} is null or trim({quoted(name)}) = ''", "is missing")
        if (table, name) in CHOICES:
            choices = ", ".join(text(choice) for choice in CHOICES[table, name])
            _refuse(db, file, name, f"{quoted(name)} not in ({choices})", f"is not one of {choices}")
        if name in ("time_from", "time_to"):
            _refuse(db, file, name, f"not regexp_matches({quoted(name)}, '{_CLOCK}')", "is no hour of the day, HH:MM in UTC")
        values.append(f"{value} as {name}")
    if table == "policies":
        for policy, said in POLICIES.items():
            refused = _refused_values(policy, said)
            _refuse(db, file, "value", f"policy = {text(policy)} and ({refused})", f"is no value of {policy}: {_told(said)}")
        whole = ", ".join(text(policy) for policy in WHOLE_WORKSPACE)
        for column in ("cluster", "pool"):
            _refuse(db, file, column, f"policy in ({whole}) and trim({column}) <> ''", "cannot be told: the policy holds for the workspace")
    for column, condition, says in CHECKS.get(table, ()):
        _refuse(db, file, column, condition, says)
    if table in FIELDS:
        fields = ", ".join(text(field) for field in sorted(FIELDS[table]))
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
    if table in ONE_IN_FORCE:
        key = ONE_IN_FORCE[table]
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
            f"lies inside the validity of an earlier row of the same {SAME.get(table, key.split(' ')[0])}",
        )
    _refuse(db, file, "valid_to", "try_cast(valid_to as date) <= try_cast(valid_from as date)", "is not after valid_from")
    db.execute(f"insert into config.{table} select {', '.join(values)}, rule_row from rules")


def _told(said: tuple[str, ...] | str) -> str:
    return said if isinstance(said, str) else f"it is one of {', '.join(said)}"


def _refused_values(policy: str, said: tuple[str, ...] | str) -> str:
    """The SQL that is true of a ``value`` that the policy cannot have."""
    if not isinstance(said, str):
        return f"value not in ({', '.join(text(choice) for choice in said)})"
    if policy == "node_cost_split":
        return f"value not in ({', '.join(text(split) for split in BUILT_IN_SPLITS)}) and value not in (select split from config.resource_rates)"
    if policy == "sample_gap_intervals":
        return "coalesce(try_cast(value as double), 0) < 1"
    if policy == "materiality_threshold":
        return "coalesce(try_cast(value as decimal(38, 12)), -1) < 0"
    if policy == "showback_cost_centre":
        return "trim(value) = ''"
    if policy == "attached_by_tag":
        return "trim(value) = '' or value glob '*[,;]*'"
    return "not regexp_matches(value, '^[0-9 ]*$')"


def _refuse_other_currency(db: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """Internal prices are in the currency that teams are charged in."""
    row = db.execute(
        "select rule_row, currency from config.internal_prices where upper(trim(currency)) <> ? order by rule_row limit 1",
        [workspace.currency],
    ).fetchone()
    if row:
        raise ConfigError(
            f"{workspace.config / 'internal_prices.csv'}, row {row[0]}, column currency: {row[1]!r} is not {workspace.currency}, in which"
            " teams are charged. Mend the file; the rules in force stay."
        )


def _refuse(db: duckdb.DuckDBPyConnection, file: Path, column: str, condition: str | None, says: str) -> None:
    if condition is None:
        return
    row = db.execute(f"select rule_row, {quoted(column)} from rules where {condition} limit 1").fetchone()
    if row:
        raise ConfigError(f"{file}, row {row[0]}, column {column}: {row[1]!r} {says}. Mend the file; the rules in force stay.")
