"""Records of a Google Cloud billing export, whatever the file: fields by path, lists as lists of structs, numbers as text.

BigQuery writes one nested record per line of JSON or row of Parquet; tools that flatten it to CSV write ``service.id`` or
``service_id``, and lists as JSON text or as Python prints them. ``Records.field("service", "id")`` finds all of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from tollbook.sources import files
from tollbook.sources.typing import quoted, text

# Python's literals: a text in double quotes, a text in single quotes, all between
_PYTHON_PIECES = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^"']+"""


@dataclass(frozen=True)
class Records:
    """The delivered columns of the relation ``delivery``, with their types."""

    types: dict[str, object]
    is_text: bool

    def column(self, *path: str) -> str | None:
        """The delivered column that holds the path alone: ``service.id``, ``service_id``, ``Service Id``."""
        wanted = plain("".join(path))
        return next((column for column in self.types if plain(column) == wanted), None)

    def field(self, *path: str) -> str | None:
        """The SQL of one scalar, in the file's own type where it is a time, else as text; None where the file lacks it."""
        flat = self.column(*path)
        if flat is not None and (len(path) > 1 or not _is_nested(self.types[flat])):
            return _scalar(quoted(flat), self.types[flat])
        parent = self.column(path[0])
        if parent is None or len(path) == 1:
            return None
        inner = _struct_field(parent, self.types[parent], path[1:])
        if inner:
            return _scalar(*inner)
        document = _document(quoted(parent), self.types[parent])
        return document and f"({document} ->> {_json_path(path[1:])})"

    def entries(self, *path: str, shape: tuple[str, ...]) -> str | None:
        """The SQL of a list of structs of the fields in ``shape``, all text; None where the file has no place for it.

        A list flattened to one entry (``credits.name``, ``credits.amount``) counts where the list itself is not there.
        """
        place = self._place(*path)
        if place and place[1].id == "list" and place[1].child.id == "struct":
            return _list_of_structs(*place, shape)
        document = self.document(*path)
        if document:
            structure = "[{" + ", ".join(f'"{name}": "VARCHAR"' for name in shape) + "}]"
            # one entry may stand without its list, and labels may be an object of keys and values
            one = f"from_json(json_array({document}), {text(structure)})"
            if shape == ("key", "value"):
                pairs = f"map_entries(try_cast({document} as map(varchar, varchar)))"
                one = f"case when json_exists({document}, '$.key') then {one} else {pairs} end"
            many = f"from_json({document}, {text(structure)})"
            return f"coalesce(case when json_type({document}) = 'OBJECT' then {one} else {many} end, [])"
        single = {name: self.column(*path, name) for name in shape}
        if not any(single.values()):
            return None
        values = {name: f"nullif({quoted(column)}::varchar, '')" if column else "null::varchar" for name, column in single.items()}
        fields = ", ".join(f"{text(name)}: {value}" for name, value in values.items())
        return f"case when coalesce({', '.join(values.values())}) is not null then [{{{fields}}}] else [] end"

    def document(self, *path: str) -> str | None:
        """The SQL of a nested value as JSON, its numbers as text; NULL where the delivered text is neither JSON nor Python."""
        place = self._place(*path)
        if place:
            return _document(*place)
        parent = self.column(path[0])
        document = parent and len(path) > 1 and _document(quoted(parent), self.types[parent])
        return f"({document} -> {_json_path(path[1:])})" if document else None

    def _place(self, *path: str):
        """The SQL and type of a nested value that has a column, or a field of a struct column, of its own; else None."""
        whole = self.column(*path)
        if whole is not None:
            return quoted(whole), self.types[whole]
        parent = self.column(path[0])
        return _struct_field(parent, self.types[parent], path[1:]) if parent and len(path) > 1 else None


def open_records(db: duckdb.DuckDBPyConnection, file: Path) -> Records:
    """Open ``file`` as ``delivery`` and ``unread`` as ``files.open_delivery`` does, but JSON with every number as text.

    JSON may be one object per line, a list of objects, or objects one behind the other.

    Raises:
        DeliveryError: the file cannot be read.
    """
    is_text = files.open_delivery(db, file, all_text=True).is_text
    relation = db.sql("select * from delivery limit 0")
    types = dict(zip(relation.columns, relation.types, strict=True))
    types.pop("file_row")
    return Records(types, is_text)


def plain(name: str) -> str:
    """A column's name without the signs that tools put between its parts."""
    return name.replace(".", "").replace("_", "").replace(" ", "").casefold()


def _is_nested(kind) -> bool:
    return kind.id in ("struct", "list", "map")


def _scalar(sql: str, kind) -> str:
    if str(kind) == "JSON":
        return f"({sql} ->> '$')"
    return sql if kind.id.startswith(("timestamp", "date")) or str(kind) == "VARCHAR" else f"{sql}::varchar"


def _struct_field(column: str, kind, path: tuple[str, ...]):
    """The SQL and type of a field of a struct column; None where it is no struct or has no such field."""
    sql = quoted(column)
    for step in path:
        if kind.id != "struct":
            return None
        found = next(((name, child) for name, child in kind.children if plain(name) == plain(step)), None)
        if found is None:
            return None
        sql, kind = f"{sql}.{quoted(found[0])}", found[1]
    return sql, kind


def _list_of_structs(sql: str, kind, shape: tuple[str, ...]) -> str:
    names = {plain(name): name for name, _ in kind.child.children}
    fields = (f"{text(name)}: {f'entry.{quoted(names[plain(name)])}' if plain(name) in names else 'null'}::varchar" for name in shape)
    return f"coalesce(list_transform({sql}, lambda entry: {{{', '.join(fields)}}}), [])"


def _document(sql: str, kind) -> str | None:
    if str(kind) == "JSON":
        parsed = _parsed(f"({sql} ->> '$')")
        return f"(case when json_type({sql}) = 'VARCHAR' then {parsed} else {sql} end)"
    if _is_nested(kind):
        return f"to_json({sql})"
    return _parsed(sql) if str(kind) == "VARCHAR" else None


def _parsed(sql: str) -> str:
    """The SQL of text as JSON, where it is JSON or what Python prints for the same."""
    pieces = (
        f"list_transform(regexp_extract_all({sql}, {text(_PYTHON_PIECES)}), lambda piece: case"
        " when piece[1] = '''' then to_json(replace(replace(piece[2:-2], '\\''', ''''), '\\\\', '\\'))::varchar"
        " when piece[1] = '\"' then piece"
        " else replace(replace(replace(piece, 'None', 'null'), 'True', 'true'), 'False', 'false') end)"
    )
    as_json, as_python = (files.numbers_as_text(one) for one in (sql, f"array_to_string({pieces}, '')"))
    return (
        f"(case when {sql} is null or left(ltrim({sql}), 1) not in ('{{', '[') or trim({sql}) in ('[]', '{{}}') then null"
        f" when json_valid({sql}) then {as_json}::json else try_cast({as_python} as json) end)"
    )


def _json_path(path: tuple[str, ...]) -> str:
    return text("$." + ".".join(f'"{step}"' for step in path))


def _json_text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
