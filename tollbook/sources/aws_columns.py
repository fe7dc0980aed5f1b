"""Where a column of an AWS bill is, whichever of its three forms was delivered.

Legacy reports say ``lineItem/UnblendedCost``, Athena and CUR 2.0 ``line_item_unblended_cost``: without signs and case both are
``lineitemunblendedcost``. CUR 2.0 nests ``product``, ``discount``, ``resource_tags`` and ``cost_category`` (a Parquet MAP, or
JSON text in CSV), where the other forms have a column each. Blank text is an absent value.
"""

from __future__ import annotations

import re

import duckdb

from tollbook.sources.typing import quoted, text, typed

_DECIMAL = "decimal(38,20)"
_NESTED = {"product": "product", "discount": "discount"}
_TAGS = {"resourcetags": "", "tags": "", "costcategory": "cost_category:"}
#: columns that say again what another says: the charge period, the usage type, the operation
_REPEATED = ("identitytimeinterval", "productusagetype", "productoperation")
_TAG_COLUMN = re.compile(r"^(resource_?tags|cost_?category)[/_](.+)$", re.IGNORECASE)


class Columns:
    """The delivered columns by what AWS means with them; remembers which were asked for."""

    def __init__(self, delivered: dict[str, str]):
        self.kinds = delivered
        self.tags = [column for column in delivered if _plain(column) in _TAGS or _TAG_COLUMN.match(column)]
        self.by_name = {_plain(column): column for column in delivered if column not in self.tags}
        self.used: set[str] = set(self.tags)

    def has(self, name: str) -> bool:
        return _plain(name) in self.by_name

    def text(self, *names: str) -> str:
        """SQL of the first of these that is not blank, as text."""
        found = [sql for name in names for sql in self._places(name)]
        return f"coalesce({', '.join(found)})" if len(found) > 1 else (found or ["null::varchar"])[0]

    def account(self, name: str) -> str:
        """SQL of an account number: twelve digits, also where it was delivered as a number."""
        column = self.by_name.get(_plain(name))
        if column and "INT" in self.kinds[column]:
            self.used.add(column)
            return f"lpad({quoted(column)}::varchar, 12, '0')"
        return self.text(name)

    def number(self, *names: str) -> str:
        """SQL of a decimal, exact; NULL where it is no number."""
        found = [typed(column, self.kinds[column], _DECIMAL)[0] for column in self._columns(*names)]
        return f"coalesce({', '.join(found)})" if len(found) > 1 else (found or [f"null::{_DECIMAL}"])[0]

    def fault(self, name: str) -> str | None:
        """SQL that is true where the number cannot be read."""
        found = [typed(column, self.kinds[column], _DECIMAL)[1] for column in self._columns(name)]
        return found[0] if found else None

    def raw(self, name: str) -> str:
        """SQL of the delivered value."""
        return quoted(self._columns(name)[0])

    def value(self, column: str) -> str:
        """SQL of a delivered column as JSON; NULL where it is blank, an empty object, or the 0 that AWS writes where nothing applies."""
        kind = self.kinds[column]
        if kind.startswith(("MAP", "STRUCT", "JSON")) or kind.endswith("[]"):
            return f"nullif({self._document(column)}, '{{}}')"
        if kind == "VARCHAR":
            return f"to_json(nullif({quoted(column)}, ''))::varchar"
        if kind.startswith(("DOUBLE", "FLOAT", "DECIMAL")):
            return f"to_json(nullif({quoted(column)}, 0)::varchar)::varchar"
        return f"to_json({quoted(column)}::varchar)::varchar"

    def moment(self, name: str) -> str | None:
        """SQL of a time that ends or starts a period; a last second (23:59:59) ends at midnight."""
        found = self._columns(name)
        if not found:
            return None
        column, kind = quoted(found[0]), self.kinds[found[0]]
        if kind == "VARCHAR":
            next_second = f"(try_cast({column} as timestamptz) at time zone 'UTC' + interval 1 second)::varchar"
            return f"case when {column} like '%23:59:59%' then coalesce({next_second}, {column}) else nullif({column}, '') end"
        if kind == "DATE":
            return f"{column}::timestamp"
        moment = f"({column} at time zone 'UTC')" if kind == "TIMESTAMP WITH TIME ZONE" else f"{column}::timestamp"
        return f"case when second({moment}) = 59 then date_trunc('second', {moment}) + interval 1 second else {moment} end"

    def tags_json(self) -> str:
        """SQL of the tags as JSON text: ``user:`` left out, ``aws:`` kept, cost categories as ``cost_category:<name>``."""
        parts = []
        for column in self.tags:
            nested = _TAGS.get(_plain(column))
            parts.append(self._nested_tags(column, nested) if nested is not None else member(_tag_name(column), self._blank_out(column)))
        return json_object(parts)

    def others(self, empty: set[str]) -> list[str]:
        """The delivered columns with no place of their own and something in them, but for those that repeat another."""
        taken = self.used | empty | {self.by_name[name] for name in _REPEATED if name in self.by_name}
        return [column for column in self.kinds if column not in taken]

    def _columns(self, *names: str) -> list[str]:
        found = [self.by_name[_plain(name)] for name in names if _plain(name) in self.by_name]
        self.used.update(found)
        return found

    def _places(self, name: str) -> list[str]:
        places = [self._blank_out(column) for column in self._columns(name)]
        prefix, _, key = name.partition("_")
        nested = self.by_name.get(_NESTED.get(prefix, "-"))
        if nested and key:
            kind = self.kinds[nested]
            if kind.startswith("MAP"):
                places.append(f"nullif({quoted(nested)}[{text(key)}], '')")
            else:
                document = quoted(nested) if kind in ("VARCHAR", "JSON") else f"to_json({quoted(nested)})"
                if kind == "VARCHAR":
                    document = f"case when json_valid({document}) then {document} end"
                places.append(f"nullif(json_extract_string({document}, {text('$.' + key)}), '')")
        return places

    def _blank_out(self, column: str) -> str:
        return f"nullif({quoted(column)}, '')" if self.kinds[column] == "VARCHAR" else f"{quoted(column)}::varchar"

    def _nested_tags(self, column: str, prefix: str) -> str:
        inner = f"nullif(trim({self._document(column)}, '{{}}'), '')"
        # keys follow a comma: a quote inside a value is escaped, so no value looks like that
        named = f"',' || {inner}"
        if prefix:
            return f"substr(replace({named}, ',\"', ',\"{prefix}'), 2) "
        for old, new in (("resourceTags/", ""), ("user_", ""), ("user:", ""), ("aws_", "aws:")):
            named = f"replace({named}, ',\"{old}', ',\"{new}')"
        return f"substr({named}, 2)"

    def _document(self, column: str) -> str:
        """SQL of a nested column as JSON text without blanks; NULL where it is none."""
        kind = self.kinds[column]
        if kind == "VARCHAR":
            return f"case when json_valid({quoted(column)}) and {quoted(column)} like '{{%' then json({quoted(column)})::varchar end"
        return f"to_json({quoted(column)})::varchar" if kind != "JSON" else f"json({quoted(column)})::varchar"


def member(key: str, value: str) -> str:
    """SQL of one ``"key":"value"`` of a JSON object; NULL where the text is NULL."""
    return raw_member(key, f"to_json({value})::varchar")


def raw_member(key: str, json: str) -> str:
    """SQL of one ``"key":value`` of a JSON object, the value being JSON; NULL where it is NULL."""
    return f"{text(_json_key(key) + ':')} || {json}"


def json_object(members: list[str]) -> str:
    """SQL of a JSON object of the members that are not NULL; NULL where there are none."""
    if not members:
        return "null::varchar"
    return f"'{{' || nullif(concat_ws(',', {', '.join(members)}), '') || '}}'"


def wholly_empty(db: duckdb.DuckDBPyConnection, columns: list[str], kinds: dict[str, str]) -> set[str]:
    """Of these columns of ``delivery``, those without a value."""
    if not columns:
        return set()
    blank = {"VARCHAR": "''", "DOUBLE": "0"}
    filled = [f"count(nullif({quoted(c)}, {blank[kinds[c]]})) > 0" if kinds[c] in blank else f"count({quoted(c)}) > 0" for c in columns]
    found = db.execute(f"select {', '.join(filled)} from delivery").fetchone()
    return {column for column, has in zip(columns, found, strict=True) if not has}


def _tag_name(column: str) -> str:
    family, name = _TAG_COLUMN.match(column).groups()
    if family.casefold().startswith("cost"):
        return f"cost_category:{name}"
    name = re.sub(r"^aws_", "aws:", name, flags=re.IGNORECASE)
    return re.sub(r"^user[:_]", "", name, flags=re.IGNORECASE)


def _json_key(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
