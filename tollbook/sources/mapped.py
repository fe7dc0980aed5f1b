"""Any CSV, JSON lines or Parquet file as a canonical table, by a SQL projection in ``tollbook.yml``; no code.

The projection is one SELECT from ``delivery`` (the file). Its casts are tried row by row: a value that cannot be cast is
quarantined with its row and column, the other rows load. A CSV file without a header has its columns named by the option ``columns``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source, canonical_tables

#: A text column whose values are numbers at least this often is meant to be one; the rest are bad values.
_MEANT_AS_NUMBER = 0.5
_NUMBER = "DECIMAL(38,15)"


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT of the source's projection, with ``file_row`` and ``cast_fault``.

    ``cast_fault`` is NULL or the struct (column_name, value, reason) of the first cast that failed in a row.

    Raises:
        ConfigError: the projection is no SELECT from ``delivery``, or names columns that do not exist; ``columns`` is no list.
        DeliveryError: unreadable file.
    """
    # where money goes, no digit may pass through a binary float; telemetry is measured in floats anyway
    exact = any(column["type"] == "decimal(38,20)" for column in canonical_tables()[source.table]["columns"].values())
    names = source.option("columns", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{source.name}: option columns is {names!r}; it must list the columns of a CSV file without a header.")
    opened = files.open_delivery(db, file, sniff=True, exact=exact, names=names)
    if source.select is None:
        known = canonical_tables()[source.table]["columns"]
        by_name = [column for column in opened.columns if column.casefold() in known]
        if not by_name:
            raise DeliveryError(
                f"{file.name}: no column of it is a column of {source.table} ({', '.join(known)}). Give the source a `select`."
            )
        return f"select {', '.join(quoted(column) for column in by_name)}, file_row from delivery"
    tried = _with_tried_casts(source)
    fault = _misfit(tried, opened.columns)
    if fault and opened.is_text:
        fault = _misfit(tried, _numbers_where_meant(db, opened))
    if fault:
        raise ConfigError(f"{source.name}: `select` does not fit {file.name}: {fault}")
    return tried


def _misfit(query: str, columns: dict[str, str]) -> str | None:
    """What is wrong with the query on a file of these columns; tried apart, as an error would end the load's transaction."""
    definition = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    with duckdb.connect() as apart:
        apart.execute(f"create table delivery ({definition}, file_row bigint)")
        try:
            apart.execute(f"describe {query}")
        except duckdb.Error as error:
            return str(error).splitlines()[0]
    return None


def _with_tried_casts(source: Source) -> str:
    """The projection with every cast tried instead of forced, the row number and the first failed cast carried along."""
    try:
        statements = sqlglot.parse(source.select, read="duckdb")
    except SqlglotError as error:
        raise ConfigError(f"{source.name}: `select` cannot be read: {str(error).splitlines()[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise ConfigError(f"{source.name}: `select` must be one SELECT from delivery")
    query = statements[0]
    if query.args.get("group") or query.args.get("distinct") or query.find(exp.AggFunc):
        # rows are made anew: there is no delivered row to point at
        return f"select *, null::bigint as file_row from ({query.sql('duckdb')})"
    tables = {table.name for table in query.find_all(exp.Table)}
    if "delivery" not in tables:
        raise ConfigError(f"{source.name}: `select` must read from delivery")

    faults = []
    for cast in list(query.find_all(exp.Cast)):
        if isinstance(cast, exp.TryCast) or isinstance(cast.this, exp.Literal):
            continue
        tried = exp.TryCast(this=cast.this.copy(), to=cast.to.copy())
        cast.replace(tried)
        column = cast.this.find(exp.Column)
        name = column.name if column else tried.this.sql("duckdb")
        value, outcome = tried.this.sql("duckdb"), tried.sql("duckdb")
        faults.append(
            f"when ({value}) is not null and ({outcome}) is null then {{'column_name': {text(name)},"
            f" 'value': ({value})::varchar, 'reason': {text('is not ' + cast.to.sql('duckdb').lower())}}}"
        )
    fault = f"case {' '.join(faults)} end" if faults else "null"
    query = query.select(exp.column("file_row", table="delivery"), sqlglot.parse_one(f"{fault} as cast_fault", read="duckdb"))
    return query.sql("duckdb")


def _numbers_where_meant(db: duckdb.DuckDBPyConnection, opened: files.Opened) -> dict[str, str]:
    """Give text columns that hold mostly numbers a number's type, their bad values going to ``unread``; the new columns."""
    texts = [column for column, kind in opened.columns.items() if kind == "VARCHAR"]
    if not texts:
        return opened.columns
    rates = ", ".join(f"count(try_cast({quoted(c)} as double)) / nullif(count({quoted(c)}), 0)" for c in texts)
    found = zip(texts, db.execute(f"select {rates} from delivery").fetchone(), strict=True)
    meant = [column for column, rate in found if rate is not None and rate >= _MEANT_AS_NUMBER]
    for column in meant:
        db.execute(
            f"insert into unread select file_row, {text(column)}, {quoted(column)}, 'is not a number' from delivery"
            f" where {quoted(column)} is not null and try_cast({quoted(column)} as {_NUMBER}) is null"
            " and file_row not in (select file_row from unread)"
        )
    if meant:
        replaced = ", ".join(f"try_cast({quoted(c)} as {_NUMBER}) as {quoted(c)}" for c in meant)
        db.execute(
            "create or replace temp table delivery_numbers as"
            f" select * replace ({replaced}) from delivery anti join unread using (file_row)"
        )
        db.execute("create or replace temp view delivery as select * from delivery_numbers")
    return opened.columns | dict.fromkeys(meant, _NUMBER)
