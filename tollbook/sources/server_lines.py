"""Lines of model servers' logs, for the readers of vLLM's and TGI's: as printed, or JSON lines with the message in a field."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import files, records
from tollbook.sources.typing import text
from tollbook.workspace import Source

_TEXT = (".log", ".txt", ".out")
#: What a server does not say of itself, and the column it fills.
STATED = {"model": "model", "version": "model_version", "variant": "variant", "holding": "holding_id", "team": "team", "tenant": "tenant", "feature": "feature"}  # fmt: skip


def open_lines(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``server_lines`` (file_row, line: text; record: JSON or NULL), ``unread`` and ``delivery``; terminal colours are left off.

    Raises:
        DeliveryError: unreadable file.
    """
    if files.kind(file) in records.JSON_SUFFIXES:
        records.open_records(db, file)
        db.execute(
            "create or replace temp table server_lines as select record_no as file_row, record,"
            " coalesce(record->>'$.message', record->>'$.msg', record->>'$.log', '') as line from records"
        )
    elif files.kind(file) in _TEXT:
        db.execute("drop view if exists temp.delivery")
        if file.stat().st_size == 0:
            raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
        db.execute("create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar)")
        try:
            # a line is one field: nothing cuts it, nothing quotes it
            db.execute(
                "create or replace temp table server_lines as"
                " select row_number() over () as file_row, null::json as record, regexp_replace(line, '\\x1B\\[[0-9;]*m', '', 'g') as line"
                f" from read_csv({files.path_text(file)}, columns = {{'line': 'VARCHAR'}}, header = false, delim = '\x01', quote = '',"
                " escape = '', auto_detect = false, strict_mode = false, ignore_errors = true, max_line_size = 16777216)"
            )
        except (duckdb.Error, OSError) as error:
            raise DeliveryError(f"{file.name} cannot be read; it may be cut off or damaged: {str(error).splitlines()[0][:300]}") from error
    else:
        raise DeliveryError(
            f"{file.name}: a server's log is text (.log, .txt) or JSON lines (.json, .jsonl, .ndjson), also with .gz or .zst."
        )
    db.execute("create temp view delivery as select * from server_lines")


def stated(source: Source) -> dict[str, str]:
    """The SQL of what the source's options say of all its requests, by column.

    Raises:
        ConfigError: an option is no text.
    """
    wrong = next((name for name in STATED if not isinstance(source.option(name, ""), str)), None)
    if wrong:
        raise ConfigError(f"{source.name}: option {wrong} is a text: what it is of all requests in this log.")
    return {column: text(source.options[name]) if name in source.options else "null::varchar" for name, column in STATED.items()}
