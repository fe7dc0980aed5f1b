"""Open one delivered file as the temp relation ``delivery``: its columns plus ``file_row``, and what could not be read.

CSV, TSV, JSON lines and Parquet, plain, gzip or zstd. ``file_row`` counts records from 1, the header not counted.
Unreadable records are kept apart in the temp table ``unread`` (file_row, column_name, value, reason).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import fsspec
import zstandard

from tollbook.errors import DeliveryError
from tollbook.sources.typing import quoted, text

_COMPRESSED = (".gz", ".zst")
_TEXT = {".csv": ",", ".tsv": "\t", ".txt": ",", ".log": ","}
_JSON = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*_TEXT, *_JSON, ".parquet")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


# every text of a JSON text, with the colon and the number behind it where it is a key: so nothing inside a text is taken for a number
_TEXTS = r"""("(?:[^"\\]|\\.)*"(?:\s*:\s*)?)(-?[0-9][0-9.eE+-]*)?"""


@dataclass(frozen=True)
class Opened:
    """The relation ``delivery`` of one file: column name to DuckDB type (``file_row`` left out), and its kind."""

    columns: dict[str, str]
    is_text: bool


def kind(file: Path) -> str:
    """The suffix that says what is in the file, compression put aside."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def open_delivery(
    db: duckdb.DuckDBPyConnection,
    file: Path,
    *,
    all_text: bool = False,
    sniff: bool = False,
    exact: bool = False,
    any_delimiter: bool = False,
    names: Sequence[str] = (),
) -> Opened:
    """Make ``delivery`` and ``unread`` for ``file``; CSV columns stay text, or get the types DuckDB finds (``sniff``).

    ``exact``: fractions among the types found are decimals of every delivered digit instead of binary floats.
    ``any_delimiter``: the delimiter is the one that cuts the header into most fields, as it always is with ``sniff``.
    ``names``: columns of a CSV file that has no header.

    Raises:
        DeliveryError: the file is empty, cut off, of an unknown kind, or has no header that makes sense.
    """
    if file.stat().st_size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
    db.execute("drop view if exists temp.delivery; drop table if exists temp.delivery_text")
    try:
        if kind(file) == ".parquet":
            return _parquet(db, file)
        if kind(file) in _JSON:
            return _json_as_text(db, file) if all_text else _json(db, file, exact)
        if kind(file) in _TEXT:
            return _csv(db, file, sniff and not all_text, exact, any_delimiter, names)
    except (duckdb.Error, OSError, EOFError, zstandard.ZstdError) as error:
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {_first_line(error)}") from error
    raise DeliveryError(f"{file.name}: unknown kind of file; known are {', '.join(SUFFIXES)}, also with .gz or .zst")


def header(file: Path) -> str:
    """The first line of a text file, decompressed."""
    with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8-sig", errors="replace") as text:
        return text.readline().rstrip("\r\n")


def read_lines(db: duckdb.DuckDBPyConnection, file: Path, table: str, column: str = "line") -> None:
    """Make the temp table of a text file's lines, in order: formats of lines know no quotes around fields."""
    # a delimiter that nobody writes gives whole lines
    packed = "compression = 'gzip', " if file.suffix.lower() == ".gz" else ""
    db.execute(
        f"create or replace temp table {table} as from read_csv({path_text(file)}, columns = {{{text(column)}: 'varchar'}}, {packed}"
        " delim = '\x1f\x1e', quote = '', escape = '', header = false, auto_detect = false, strict_mode = false,"
        " max_line_size = 16777216)"
    )


def guess_delimiter(line: str) -> str:
    """The delimiter that cuts the line into most fields."""
    return max(_DELIMITERS, key=line.count)


def delimiter_name(delimiter: str) -> str:
    return _DELIMITERS[delimiter]


def _parquet(db: duckdb.DuckDBPyConnection, file: Path) -> Opened:
    # the file's own row number: exact, whatever order the rows are read in
    db.execute(
        "create temp view delivery as select * exclude (file_row_number), file_row_number + 1 as file_row"
        f" from read_parquet({path_text(file)}, file_row_number = true)"
    )
    return Opened(_columns(db), is_text=False)


def numbers_as_text(json_text: str) -> str:
    """The SQL of a JSON text whose numbers behind keys are texts, so that no digit passes through a float."""
    # JSON writes no control characters: one can stand for the quotes to be
    marked = f"regexp_replace({json_text}, {text(_TEXTS)}, '\\1' || chr(1) || '\\2' || chr(1), 'g')"
    return f"replace(replace({marked}, chr(1) || chr(1), ''), chr(1), '\"')"


def path_text(file: Path) -> str:
    """The SQL text of a path in which the engine sees no pattern."""
    return "'" + re.sub(r"([*?\[])", r"[\1]", str(file)).replace("'", "''") + "'"


def _json_as_text(db: duckdb.DuckDBPyConnection, file: Path) -> Opened:
    """Every field as text, objects and lists as JSON text: the engine's own reading would pass numbers through floats."""
    objects = f"read_json_objects({path_text(file)}, {_layout(file)}, maximum_object_size = 67108864)"
    db.execute("drop table if exists temp.delivery_json")
    db.execute(
        "create temp table delivery_json as"
        f" select {numbers_as_text('json::varchar')} as record, row_number() over () as file_row from {objects}"
    )
    db.execute("insert into unread select file_row, '', null, 'is not a JSON object' from delivery_json where record is null")
    keys = [row[0] for row in db.execute("select distinct unnest(json_keys(record)) from delivery_json order by 1").fetchall()]
    if not keys:
        raise DeliveryError(f"{file.name} has no JSON objects with fields. Deliver it again; what was loaded before stays.")
    fields = ", ".join(f"record ->> {text('$.' + quoted(key))} as {quoted(key)}" for key in keys)
    db.execute(f"create temp table delivery_text as select {fields}, file_row from delivery_json where record is not null")
    db.execute("create temp view delivery as select * from delivery_text; drop table delivery_json")
    return Opened(_columns(db), is_text=False)


def _layout(file: Path) -> str:
    """How the objects lie in the file; in a file of lines a broken one does not cost the others."""
    first = header(file).strip()
    if first.startswith("["):
        return "format = 'array'"
    try:
        json.loads(first)
    except ValueError:
        return "format = 'unstructured'"
    return "format = 'newline_delimited', ignore_errors = true"


def _floats_as_decimals(db: duckdb.DuckDBPyConnection, columns: list[str]) -> None:
    """Give text columns of fractions the decimal type with as many digits as they have; a float where they have more than fit."""
    for column in columns:
        name = quoted(column)
        scale, fits = db.execute(
            f"select coalesce(max(case when contains(lower({name}), 'e') then 20 else length(split_part(trim({name}), '.', 2)) end), 0),"
            f" bool_and({name} is null or trim({name}) = '' or try_cast({name} as decimal(38, 20)) is not null) from delivery_text"
        ).fetchone()
        kind = f"decimal(38, {min(scale, 20)})" if fits else "double"
        db.execute(f"alter table delivery_text alter column {name} set data type {kind} using try_cast({name} as {kind})")


def _json(db: duckdb.DuckDBPyConnection, file: Path, exact: bool) -> Opened:
    found = f"read_json_auto({path_text(file)}, sample_size = -1)"
    floats = [row[0] for row in db.execute(f"describe from {found}").fetchall() if row[1] == "DOUBLE"] if exact else []
    if floats:
        texts = ", ".join(f"record ->> {text('$.' + quoted(name))} as {quoted(name)}" for name in floats)
        db.execute(
            f"create temp table delivery_text as select typed.* replace ({', '.join(f'stated.{quoted(name)} as {quoted(name)}' for name in floats)})"
            f" from {found} as typed positional join (select {texts} from (select {numbers_as_text('json::varchar')}::json as record"
            f" from read_json_objects({path_text(file)}, maximum_object_size = 67108864))) as stated"
        )
        _floats_as_decimals(db, floats)
    else:
        db.execute(f"create temp table delivery_text as select * from {found}")
    db.execute(f"create temp view delivery as select *, {_place(db)} as file_row from delivery_text")
    return Opened(_columns(db), is_text=False)


def _csv(db: duckdb.DuckDBPyConnection, file: Path, sniff: bool, exact: bool, any_delimiter: bool, names: Sequence[str]) -> Opened:
    delimiter = _TEXT[kind(file)]
    if sniff or any_delimiter:
        delimiter = guess_delimiter(header(file))
    types = "sample_size = -1" if sniff else "all_varchar = true"
    head = f"header = false, names = [{', '.join(map(text, names))}]" if names else "header = true"
    if sniff and exact:
        found = db.execute(f"describe from read_csv({path_text(file)}, {head}, delim = '{delimiter}', quote = '\"', {types})").fetchall()
        floats = [row[0] for row in found if row[1] == "DOUBLE"]
        types += f", types = {{{', '.join(f'{quoted(name)}: VARCHAR' for name in floats)}}}" if floats else ""
    db.execute("drop table if exists reject_errors; drop table if exists reject_scans")
    # what is kept in order gets its record number from its place, which is cheaper than a window
    db.execute(
        f"create temp table delivery_text as select * from read_csv({path_text(file)}, {head}, delim = '{delimiter}',"
        f" quote = '\"', escape = '\"', {types}, store_rejects = true, max_line_size = 16777216)"
    )
    unread = db.execute("select count(distinct line) from reject_errors").fetchone()[0]
    _refuse_runaway_quote(db, file)
    if not names:
        _refuse_two_columns_of_one_name(db, file, delimiter)
    if sniff and exact:
        _floats_as_decimals(db, floats)
    if not unread:
        db.execute(f"create temp view delivery as select *, {_place(db)} as file_row from delivery_text")
        return Opened(_columns(db), is_text=True)
    db.execute(
        f"insert into unread select line - {0 if names else 1}, coalesce(column_name, ''), csv_line, error_message from reject_errors"
        " qualify row_number() over (partition by line order by column_idx) = 1"
    )
    db.execute(
        f"""
        create temp view delivery as
        with numbers as (
            select unnest(range(1, (select count(*) from delivery_text) + (select count(*) from unread) + 1)) as file_row
        ),
        readable as (
            select numbers.file_row, row_number() over (order by numbers.file_row) as place
            from numbers anti join unread on numbers.file_row = unread.file_row
        )
        select delivery_text.*, readable.file_row
        from delivery_text inner join readable on {_place(db)} = readable.place
        """
    )
    return Opened(_columns(db), is_text=True)


def _refuse_runaway_quote(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """A quote that is never closed swallows the records after it: how many were lost, nobody can tell."""
    # where every record lacks columns it is the header that is too long
    found = db.execute(
        "select min(line) from reject_errors where contains(rtrim(csv_line, chr(10) || chr(13)), chr(10))"
        " and (error_type <> 'MISSING COLUMNS' or exists (from delivery_text))"
    ).fetchone()[0]
    if found is not None:
        raise DeliveryError(
            f"{file.name}, line {found}: a quote is opened and not closed before the line ends, so the lines after it cannot be told apart."
            " Mend the quote and deliver it again; nothing of it was loaded."
        )


def _refuse_two_columns_of_one_name(db: duckdb.DuckDBPyConnection, file: Path, delimiter: str) -> None:
    """The engine renames the second ``cost`` to ``cost_1``; where the two differ, nobody can tell which is meant."""
    names = next(csv.reader([header(file)], delimiter=delimiter), [])
    for name in {name for name in names if name and names.count(name) > 1}:
        differing = db.execute(
            f"select count(*) from delivery_text where {quoted(name)} is distinct from {quoted(name + '_1')}"
            if f"{name}_1" not in names
            else "select 1"
        ).fetchone()[0]
        if differing:
            raise DeliveryError(f"{file.name}: two columns are called {name}, and they differ. Name or drop one; nothing of it was loaded.")


def _place(db: duckdb.DuckDBPyConnection) -> str:
    """The SQL of a record's place in ``delivery_text``, from 1: rows of an open transaction are numbered from afar."""
    first, last, count = db.execute("select min(rowid), max(rowid), count(*) from delivery_text").fetchone()
    if count and last - first + 1 != count:
        raise DeliveryError("the engine did not keep the records in order; load the file alone")
    return f"delivery_text.rowid - {(first or 0) - 1}"


def _columns(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    rows = db.execute("describe delivery").fetchall()
    return {row[0]: row[1] for row in rows if row[0] != "file_row"}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
