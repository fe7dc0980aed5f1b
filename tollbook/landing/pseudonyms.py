"""Users' ids, replaced while loading by HMAC-SHA-256 with the workspace's key: the same user is always the same pseudonym.

- The key is the value of the environment variable that ``user_key_env`` in tollbook.yml names, else the file ``secrets/user.key`` of the
  workspace, made at the first load (mode 600, in a folder that keeps itself out of git). It is in no backup and no message.
- The warehouse remembers a check of its key: with another one nothing is loaded, as the same users would become others.
- What was delivered as a user's id is replaced in ``other_columns`` too; the quarantine of such a table keeps no text that may name one.
- ``deliveries/`` keeps files as delivered, ids included, as it must to load them again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from tollbook.errors import ConfigError
from tollbook.sources.typing import quoted
from tollbook.workspace import Workspace, canonical_tables

_LEAST = 16
_BLOCK = 64
# ids that are shorter, or numbers, stand in other words too: they are only replaced where they are a whole value
_WORD = 6


def columns(table: str) -> list[str]:
    """The table's columns that are pseudonyms."""
    return [name for name, column in canonical_tables()[table]["columns"].items() if column.get("pseudonym")]


def key_file(workspace: Workspace) -> Path:
    return workspace.root / "secrets" / "user.key"


def prepare(db, workspace: Workspace) -> None:
    """Give the connection the key; make one where the warehouse has none yet.

    Raises:
        ConfigError: the key is missing, too short, readable by others, or not the one the warehouse was loaded with.
    """
    known = db.execute("select key_check from meta.user_key").fetchone()
    key = _key(workspace, may_make=known is None)
    check = hmac.new(key, b"tollbook: which key", hashlib.sha256).hexdigest()[:16]
    if known is None:
        db.execute("insert into meta.user_key values (?)", [check])
    elif known[0] != check:
        raise ConfigError(
            f"{_named(workspace)} is not the key that the warehouse's users are pseudonymised with: they would all become others."
            " Bring the old key back; nothing was loaded. (A new key takes a new warehouse, loaded from the deliveries.)"
        )
    give(db, key)


def give(db, key: bytes) -> None:
    """Make the macro ``user_pseudonym``; the key is in variables of the connection, never in a statement."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    db.execute("set variable user_key_inner = ?", [bytes(byte ^ 0x36 for byte in block)])
    db.execute("set variable user_key_outer = ?", [bytes(byte ^ 0x5C for byte in block)])
    db.execute(
        "create or replace temp macro user_pseudonym(id) as sha256(getvariable('user_key_outer')::blob"
        " || unhex(sha256(getvariable('user_key_inner')::blob || encode(id))))"
    )


def replaced(db, select: str, described: dict[str, str], names: list[str]) -> str:
    """The SELECT with pseudonyms for ids, each id hashed once; fills the temp table ``user_pseudonyms`` (delivered, pseudonym)."""
    delivered = {column.casefold(): column for column in described}
    present = [delivered[name] for name in names if name in delivered]
    db.execute("create or replace temp table user_pseudonyms (delivered varchar, pseudonym varchar)")
    if not present:
        return select
    ids = " union ".join(f"select {_id(quoted(column))} as delivered from ({select})" for column in present)
    db.execute(
        f"insert into user_pseudonyms select delivered, user_pseudonym(delivered) from (select distinct delivered from ({ids}) where delivered is not null)"
    )
    joins, swapped, other = "", [], delivered.get("other_columns")
    cleaned = f"row_of.{quoted(other)}::varchar" if other else ""
    for number, column in enumerate(present):
        known = f"known_{number}"
        joins += f" left join user_pseudonyms as {known} on {_id('row_of.' + quoted(column))} = {known}.delivered"
        swapped.append(f"{known}.pseudonym as {quoted(column)}")
        cleaned = _cleaned(cleaned, known)
    if other:
        swapped.append(f"{cleaned} as {quoted(other)}")
    return f"select row_of.* replace ({', '.join(swapped)}) from ({select}) as row_of{joins}"


def kept(value: str) -> str:
    """The SQL of what the quarantine keeps of a value: numbers and times, unless they are an id."""
    looks = f"regexp_full_match({value}, '[-+0-9.,:/ TZeE]*')"
    return f"case when {looks} and {value} not in (select delivered from user_pseudonyms) then {value} end"


def without_quotes(reason: str) -> str:
    """The SQL of a reason without what it quotes of a line."""
    return f"""regexp_replace(split_part({reason}, chr(10), 1), '"[^"]*"', '…', 'g')"""


def _id(column: str) -> str:
    return f"nullif(trim({column}::varchar), '')"


def _cleaned(text: str, known: str) -> str:
    """The SQL of JSON text in which an id is its pseudonym: as a value of its own, and inside texts where it is long enough."""
    whole = f"replace({text}, to_json({known}.delivered)::varchar, to_json({known}.pseudonym)::varchar)"
    number = (
        f"regexp_replace({whole}, '([:,\\[]\\s*)' || {known}.delivered || '(\\s*[,}}\\]])',"
        f" '\\1' || to_json({known}.pseudonym)::varchar || '\\2', 'g')"
    )
    inside = f"replace({whole}, {known}.delivered, {known}.pseudonym)"
    return (
        f"case when {known}.delivered is null or not contains({text}, {known}.delivered) then {text}"
        f" when regexp_full_match({known}.delivered, '[0-9]+') then {number}"
        f" when length({known}.delivered) >= {_WORD} then {inside} else {whole} end"
    )


def _key(workspace: Workspace, may_make: bool) -> bytes:
    name = workspace.settings.user_key_env
    if name:
        value = os.environ.get(name, "")
        if len(value) < _LEAST:
            raise ConfigError(f"{_named(workspace)}: it must be set, to a secret of {_LEAST} characters or more. Nothing was loaded.")
        return value.encode()
    file = key_file(workspace)
    if not file.exists():
        if not may_make:
            raise ConfigError(
                f"{_named(workspace)} is gone: without it the warehouse's users would become others. Bring it back; nothing was loaded."
            )
        _make(file)
    if file.stat().st_mode & 0o077:
        raise ConfigError(f"{_named(workspace)} may be read by others: `chmod 600` it. Nothing was loaded.")
    key = file.read_text().strip()
    if len(key) < _LEAST:
        raise ConfigError(f"{_named(workspace)} has less than {_LEAST} characters: bring the whole key back. Nothing was loaded.")
    return key.encode()


def _make(file: Path) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    (file.parent / ".gitignore").write_text("*\n")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(secrets.token_hex(32) + "\n")


def _named(workspace: Workspace) -> str:
    name = workspace.settings.user_key_env
    return f"the environment variable {name} (`user_key_env`)" if name else f"{key_file(workspace)}"
