"""Turn what was delivered into the canonical columns' types, and say what could not be turned.

Exactness: binary floats go through their shortest text, so that 0.1 stays 0.1; digits past the 20th are rounded there.
"""

from __future__ import annotations

_DECIMAL = ("DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FLOAT = ("DOUBLE", "FLOAT")
_NESTED = ("MAP", "STRUCT", "JSON")


def typed(column: str, delivered: str, wanted: str) -> tuple[str, str | None]:
    """The SQL that gives ``column`` its wanted type, and the SQL that is true where that fails (None: it cannot)."""
    name = quoted(column)
    delivered, wanted = delivered.upper(), wanted.upper()
    if wanted == "VARCHAR":
        if delivered == "VARCHAR":
            return name, None
        if delivered.startswith(_NESTED) or delivered.endswith("[]"):
            return f"{name}::json::varchar" if delivered.startswith("JSON") else f"to_json({name})::varchar", None
        return f"{name}::varchar", None
    if delivered == "VARCHAR":
        value = _from_text(name, wanted)
        return value, f"{name} is not null and trim({name}) <> '' and ({value}) is null"
    if wanted == "TIMESTAMP":
        if delivered == "TIMESTAMP WITH TIME ZONE":
            return f"({name} at time zone 'UTC')", None
        value = f"try_cast({name} as timestamp)"
    elif wanted.startswith("DECIMAL") and delivered.startswith(_FLOAT):
        value = f"try_cast({name}::varchar as {wanted})"
    else:
        value = f"try_cast({name} as {wanted})"
    return value, None if delivered == wanted else f"{name} is not null and ({value}) is null"


def reason(wanted: str) -> str:
    """What a quarantined value is not."""
    wanted = wanted.upper()
    if wanted.startswith("DECIMAL") or wanted in ("DOUBLE", "FLOAT"):
        return "is not a number"
    if wanted in ("BIGINT", "INTEGER"):
        return "is not a whole number"
    return {"TIMESTAMP": "is not a time", "BOOLEAN": "is not true or false"}.get(wanted, f"is not {wanted.lower()}")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# US order, two-digit years first: `%Y` would read 25 as the year 25
_SLASHED = [f"%m/%d/{year}{time}" for time in ("", " %H:%M", " %H:%M:%S") for year in ("%y", "%Y")]


def _from_text(name: str, wanted: str) -> str:
    if wanted == "TIMESTAMP":
        # an offset is honoured; a plain cast would read 5/1/25 as the year 5; T24:00 and beyond counts on into the next day
        beyond = "'^\\s*([0-9]{4}-[0-9]{2}-[0-9]{2})[T ](2[4-9]|[3-9][0-9])(:.*)$'"
        return (
            f"case when regexp_matches({name}, '^\\s*[0-9]{{1,2}}/') then try_strptime(trim({name}), {_SLASHED})"
            f" when regexp_matches({name}, {beyond}) then try_cast(regexp_replace({name}, {beyond}, '\\1T00\\3') as timestamptz)"
            f" at time zone 'UTC' + to_hours(try_cast(regexp_extract({name}, {beyond}, 2) as integer))"
            f" else try_cast({name} as timestamptz) at time zone 'UTC' end"
        )
    if wanted.startswith("DECIMAL"):
        return f"coalesce(try_cast({name} as {wanted}), try_cast({_money(name)} as {wanted}))"
    return f"try_cast({name} as {wanted})"


def _money(name: str) -> str:
    """Money as people write it, as plain digits: $1,200.00, (12.50), US$ 3; anything else comes back as it was."""
    signed = f"regexp_replace(trim({name}), '^\\((.*)\\)$', '-\\1')"
    bare = f"regexp_replace({signed}, '^(-?)\\s*(?:[A-Z]{{0,3}}[$€£]|[A-Z]{{3}} )\\s*(-?)', '\\1\\2')"
    grouped = f"regexp_matches({bare}, '^-?[0-9]{{1,3}}(,[0-9]{{3}})+(\\.[0-9]+)?$')"
    return f"case when {grouped} then replace({bare}, ',', '') else {bare} end"
