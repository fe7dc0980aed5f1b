"""Open what Slurm's commands print as the temp table ``slurm_fields``: file_row and the wanted fields as text, NULL where blank.

Text with a header and any delimiter (``--parsable2``, ``--parsable``, ``--delimiter``, ``sinfo -o``), the same as CSV with
quotes, as Parquet, or as JSON lines. Slurm escapes nothing: a record with too many fields is refused, unless ``prose`` names
the one field in which people write freely. ``unread`` has what was refused; ``skipped`` (file_row, reason) repeated headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.typing import quoted, text

# a field's name, what stands between, the next name; nothing but spaces between is a table for the eye
_DELIMITER = re.compile(r'^[A-Za-z0-9_:()/]+ *([^A-Za-z0-9 "]+) *[A-Za-z]')
_JSON = (".json", ".jsonl", ".ndjson")


def is_json(file: Path) -> bool:
    """Whether the file is JSON, by its name or its first character."""
    return files.kind(file) in _JSON or (files.kind(file) != ".parquet" and files.header(file).lstrip("\ufeff ")[:1] in ("{", "["))


def damaged(file: Path, error: duckdb.Error) -> DeliveryError:
    cause = str(error).strip().splitlines()[0][:300]
    return DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {cause}")


def open_fields(
    db: duckdb.DuckDBPyConnection,
    file: Path,
    wanted: dict[str, Sequence[str]],
    marks: Sequence[str],
    advice: str,
    *,
    prose: str | None = None,
    columns: Sequence[str] | None = None,
) -> set[str]:
    """Make ``slurm_fields`` (file_row, every name of ``wanted``); return the names that the file has.

    ``wanted`` has the other names of each field, in lower case. One of ``marks`` in the first line makes it a header; ``columns``
    are the fields of text without one.

    Raises:
        DeliveryError: the file is empty or unreadable, or has neither a header nor columns that fit.
    """
    if files.kind(file) == ".parquet" or is_json(file) or _delimiter(file) == ",":
        return _open_table(db, file, wanted, marks, advice)
    return _open_text(db, file, wanted, marks, advice, prose, columns)


def _open_table(db: duckdb.DuckDBPyConnection, file: Path, wanted: dict, marks: Sequence[str], advice: str) -> set[str]:
    opened = files.open_delivery(db, file, all_text=True)
    places = {_name(column): column for column in reversed(opened.columns)}
    if not set(marks) & set(places):
        raise DeliveryError(f"{file.name} has no column {' or '.join(marks)}. {advice}")
    picked = {name: next((places[other] for other in (name, *others) if other in places), None) for name, others in wanted.items()}
    fields = ", ".join(
        f"nullif(trim({quoted(column)}::varchar), '') as {quoted(name)}" if column else f"null::varchar as {quoted(name)}"
        for name, column in picked.items()
    )
    db.execute(f"create or replace temp table slurm_fields as select file_row, {fields} from delivery")
    # what the reader makes of the delivery is no column of it
    db.execute("drop view delivery; create or replace temp table skipped (file_row bigint, reason varchar)")
    return {name for name, column in picked.items() if column}


def _open_text(
    db: duckdb.DuckDBPyConnection,
    file: Path,
    wanted: dict,
    marks: Sequence[str],
    advice: str,
    prose: str | None,
    columns: Sequence[str] | None,
) -> set[str]:
    read_lines(db, file)
    found = db.execute("select rowid, line from slurm_text where regexp_matches(line, '\\S') order by rowid limit 1").fetchone()
    if found is None:
        raise DeliveryError(f"{file.name} is empty. Deliver it again; what was loaded before stays.")
    start, first = found[0], re.sub("^(\ufeff|ï»¿)", "", found[1])
    delimiter = _delimiter_of(first) or "|"
    cut = f"string_split(line, {text(delimiter)})"
    names = [_name(name) for name in first.split(delimiter)]
    has_header = bool(set(marks) & set(names))
    if has_header:
        width = len(names)
        names = names[:-1] if names[-1] == "" else names  # --parsable ends each line with the delimiter
    else:
        # one line does not tell how many fields there are: its job's name may have a '|'
        delimiter, cut = "|", "string_split(line, '|')"
        width = db.execute(f"select mode(len({cut})) from slurm_text where regexp_matches(line, '\\S')").fetchone()[0]
        names = [re.sub(r"%-?\d+$", "", _name(str(name))) for name in columns or ()]
        if columns is None or width - len(names) not in (0, 1):
            said = f"{len(names)} columns are named" if columns else "no columns are named"
            raise DeliveryError(
                f"{file.name} has no header with '|' and {' or '.join(marks)}; it has {width} fields a line, but {said}. {advice}"
            )
    places = {name: place for place, name in reversed(list(enumerate(names, start=1)))}
    picked = {name: next((places[other] for other in (name, *others) if other in places), None) for name, others in wanted.items()}
    record, fits = "field", f"len(field) = {width}"
    if picked.get(prose):
        at = picked[prose]
        more = f"len(field) - {width}"
        record = (
            f"if(len(field) <= {width}, field, list_concat(field[:{at - 1}],"
            f" [array_to_string(field[{at}:{at} + {more}], {text(delimiter)})], field[{at + 1} + {more}:]))"
        )
        fits = f"len(field) >= {width}"
    is_header = f"rowid = {start} or line = {text(first)}" if has_header else "false"
    db.execute(
        f"create or replace temp view slurm_lines as select rowid - {start - (not has_header)} as file_row, line,"
        f" {cut} as field, {is_header} as is_header from slurm_text where regexp_matches(line, '\\S')"
    )
    fields = ", ".join(
        f"nullif(trim(record[{place}]), '') as {quoted(name)}" if place else f"null::varchar as {quoted(name)}"
        for name, place in picked.items()
    )
    db.execute(
        f"create or replace temp table slurm_fields as select file_row, {fields}"
        f" from (select file_row, {record} as record from slurm_lines where not is_header and {fits})"
    )
    db.execute(
        "create or replace temp table unread as select file_row, '' as column_name, left(line, 500) as value, format("
        "'has {} fields where {} are expected; Slurm does not escape a delimiter or a line break in a field such as JobName',"
        f" len(field), {width}) as reason from slurm_lines where not is_header and not ({fits})"
    )
    db.execute(
        "create or replace temp table skipped as"
        " select file_row, 'the header again' as reason from slurm_lines where is_header and file_row > 0"
    )
    db.execute("drop view slurm_lines; drop table slurm_text")
    return {name for name, place in picked.items() if place}


def read_lines(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``slurm_text`` (line) in the file's order; blank lines are NULL."""
    # the format knows no quotes: a delimiter that nobody writes gives whole lines
    read = (
        f"create or replace temp table slurm_text as from read_csv({files.path_text(file)}, columns = {{'line': 'varchar'}},"
        " delim = '\x1d\x1e', quote = '', escape = '', header = false, auto_detect = false, strict_mode = false,"
        " max_line_size = 16777216, encoding = "
    )
    try:
        try:
            db.execute(read + "'utf-8')")
        except duckdb.InvalidInputException:  # job names can be any bytes
            db.execute(read + "'latin-1')")
    except duckdb.Error as error:
        raise damaged(file, error) from error


def _name(name: str) -> str:
    return name.strip().strip('"').lower()


def _delimiter(file: Path) -> str | None:
    try:
        return _delimiter_of(files.header(file))
    except (OSError, EOFError) as error:
        raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {error}") from error


def _delimiter_of(line: str) -> str | None:
    found = _DELIMITER.match(line.strip().replace('"', ""))
    return found[1] if found else None
