"""Disputes: what a recipient says against a line of a statement, and what came of it. Events are only ever added.

An accepted dispute moves no money. It says that a rule must change or a bill be corrected; what is posted then is a
posting like any other, and the restatement report names the dispute beside it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance import ledger
from tollbook.finance.currencies import coins, minor_units
from tollbook.pipeline import Tell, recorded
from tollbook.report.formats import UNKNOWN, moment, month
from tollbook.report.tables import Column, Row, Table
from tollbook.warehouse import lock
from tollbook.warehouse.records import records
from tollbook.workspace import Workspace

#: What a dispute stands at, and what may be said next.
NEXT = {
    "raised": ("answered", "accepted", "rejected"),
    "answered": ("answered", "accepted", "rejected"),
    "accepted": (),
    "rejected": (),
}

#: One row per dispute as it stood at ``$until``, with the line that it is about.
STANDING = """
select
    events.dispute_id, events.statement_id, events.line_number, statements.accounting_period, statements.recipient_kind, statements.recipient,
    lines.usage_period, lines.billed_by, lines.component, lines.service_name, lines.gpu_model, lines.model, lines.project,
    lines.stated_amount, events.disputed_amount, events.status, events.raised_at, events.raised_by, events.note,
    events.decided_at, events.decided_by, events.last_note, events.last_at, lines.currency_code
from (
    select
        dispute_id, statement_id, line_number,
        max(disputed_amount) filter (where event = 'raised') as disputed_amount,
        arg_max(event, recorded_at) as status,
        min(recorded_at) as raised_at,
        arg_min(said_by, recorded_at) as raised_by,
        arg_min(note, recorded_at) as note,
        max(recorded_at) filter (where event in ('accepted', 'rejected')) as decided_at,
        max(said_by) filter (where event in ('accepted', 'rejected')) as decided_by,
        arg_max(note, recorded_at) as last_note,
        max(recorded_at) as last_at
    from ledger.disputes where recorded_at <= $until
    group by dispute_id, statement_id, line_number
) as events
inner join ledger.statements as statements on events.statement_id = statements.statement_id
inner join ledger.statement_lines as lines on events.statement_id = lines.statement_id and events.line_number = lines.line_number
"""


def raise_dispute(
    workspace: Workspace, statement_id: str, line_number: int, by: str, note: str, amount: str | None = None, tell: Tell = print
) -> str:
    """Record that ``by`` disputes a line of a statement (all of it, or ``amount`` of it); return the dispute's id.

    Raises:
        TollbookError: there is no such statement or line, a newer version took the statement's place, the line has an open dispute,
            nobody or nothing is said, or the amount is none of the line; nothing was recorded.
    """
    workspace.require_warehouse()
    with lock.writing(workspace, "tollbook dispute raise", tell=tell), recorded(workspace, "dispute"), workspace.connect() as db:
        _say_who(by, note)
        stated, currency = _line(db, statement_id, line_number)
        running = db.execute(
            "select dispute_id from ledger.disputes where statement_id = ? and line_number = ? group by dispute_id"
            " having arg_max(event, recorded_at) not in ('accepted', 'rejected')",
            [statement_id, line_number],
        ).fetchone()
        if running:
            raise TollbookError(f"line {line_number} of {statement_id} is in dispute already: {running[0]}. Answer that one.")
        disputed = stated if amount is None else _amount(amount, stated, currency, f"line {line_number} of {statement_id}")
        (number,) = db.execute("select count(distinct dispute_id) + 1 from ledger.disputes").fetchone()
        _add(db, f"D-{number}", statement_id, line_number, "raised", by, note, disputed)
    tell(f"D-{number}: {coins(disputed, currency)} of line {line_number} of {statement_id} is disputed by {by}")
    return f"D-{number}"


def follow(workspace: Workspace, dispute_id: str, event: str, by: str, note: str, tell: Tell = print) -> None:
    """Record that a dispute was ``answered``, ``accepted`` or ``rejected``.

    Raises:
        TollbookError: there is no such dispute, it is decided already, or nobody or nothing is said; nothing was recorded.
    """
    workspace.require_warehouse()
    with lock.writing(workspace, f"tollbook dispute {event}", tell=tell), recorded(workspace, "dispute"), workspace.connect() as db:
        _say_who(by, note)
        found = db.execute(
            "select arg_max((statement_id, line_number, event, said_by, recorded_at), recorded_at) from ledger.disputes where dispute_id = ?",
            [dispute_id],
        ).fetchone()[0]
        if found is None:
            raise TollbookError(f"there is no dispute {dispute_id}. `tollbook dispute list` has those there are.")
        statement_id, line_number, status, said_by, at = found
        if event not in NEXT[status]:
            raise TollbookError(
                f"{dispute_id} was {status} by {said_by} on {at:%Y-%m-%d}: nothing follows that. Raise a new dispute if there is something new."
            )
        _add(db, dispute_id, statement_id, line_number, event, by, note, None)
    tell(f"{dispute_id} is {event}" + (f". {ACCEPTED}" if event == "accepted" else ""))


ACCEPTED = "That moves no money: change the rule or have the bill corrected, and the restatement report will name what was posted then"


def listed(db: duckdb.DuckDBPyConnection, until: datetime, statement_id: str | None = None) -> list[dict]:
    """Disputes as they stood at a moment, oldest first; those of one statement where it is named.

    Raises:
        TollbookError: there is no such statement.
    """
    if statement_id is not None:
        _statement(db, statement_id)
    query = f"from ({STANDING}) where $statement is null or statement_id = $statement order by raised_at"
    return in_coins(records(db, query, {"until": until, "statement": statement_id}))


def in_coins(found: list[dict]) -> list[dict]:
    """Disputes with their amounts in the decimals of their currency."""
    for row in found:
        digits = minor_units(row["currency_code"] or "")
        row |= {name: round(row[name], digits) for name in ("stated_amount", "disputed_amount")}
    return found


def table(found: list[dict]) -> Table:
    """Disputes as a table of the report."""
    cells = [
        Row(
            (
                row["dispute_id"],
                row["statement_id"],
                str(row["line_number"]),
                f"{row['component']}, {month(row['usage_period'])}",
                f"{coins(row['disputed_amount'], row['currency_code'])} {row['currency_code'] or ''}".strip(),
                row["status"],
                f"{moment(row['raised_at'])} by {row['raised_by']}: {row['note']}",
                UNKNOWN if row["last_at"] == row["raised_at"] else f"{moment(row['last_at'])}: {row['last_note']}",
            ),
            {"accepted": "good", "rejected": "bad"}.get(row["status"], "warn"),
        )
        for row in found
    ]
    titles = (("dispute", 0), ("statement", 0), ("line", 1), ("of", 0), ("disputed", 1), ("stands at", 0), ("raised", 0), ("last", 0))
    return Table(
        "disputes",
        "Disputes",
        [Column(title, right=bool(right)) for title, right in titles],
        cells,
        "No line of a statement is disputed.",
    )


def _say_who(by: str, note: str) -> None:
    if not by.strip() or not note.strip():
        raise TollbookError("say who (--by) and why (--note): nothing was recorded.")


def _statement(db: duckdb.DuckDBPyConnection, statement_id: str) -> tuple:
    found = db.execute(
        "select accounting_period, recipient_kind, recipient, version from ledger.statements where statement_id = ?", [statement_id]
    ).fetchone()
    if found is None:
        raise TollbookError(f"there is no statement {statement_id}; its number stands on it, such as 2026-09/CC-100/1.")
    return found


def _line(db: duckdb.DuckDBPyConnection, statement_id: str, line_number: int) -> tuple[Decimal, str | None]:
    """What a line states, and in which currency."""
    *of, version = _statement(db, statement_id)
    newer = db.execute(
        "select statement_id from ledger.statements where accounting_period = ? and recipient_kind = ? and recipient = ? and version > ?"
        " order by version desc limit 1",
        [*of, version],
    ).fetchone()
    if newer:
        raise TollbookError(f"{newer[0]} took the place of {statement_id}: dispute a line of that one.")
    found = db.execute(
        "select line_number, stated_amount, currency_code from ledger.statement_lines where statement_id = ?", [statement_id]
    ).fetchall()
    lines = {number: (stated, currency) for number, stated, currency in found}
    if line_number not in lines:
        known = f"it has lines {min(lines)} to {max(lines)}." if lines else "it has no lines."
        raise TollbookError(f"{statement_id} has no line {line_number}; {known}")
    return lines[line_number]


def _amount(said: str, stated: Decimal, currency: str | None, of: str) -> Decimal:
    digits = minor_units(currency or "")
    try:
        value = Decimal(said)
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or value != round(value, digits):
        raise TollbookError(f"`{said}` is no amount in {of}: write it as {Decimal('12.34'):.{digits}f}.")
    if not min(stated, Decimal(0)) <= value <= max(stated, Decimal(0)) or not value:
        raise TollbookError(f"{value} is no part of what {of} states, {coins(stated, currency)}; leave --amount out to dispute all of it.")
    return value


def _add(
    db: duckdb.DuckDBPyConnection,
    dispute_id: str,
    statement_id: str,
    line_number: int,
    event: str,
    by: str,
    note: str,
    disputed: Decimal | None,
) -> None:
    db.execute(
        "insert into ledger.disputes by name select ? as dispute_id, ? as statement_id, ? as line_number, ? as event,"
        " ?::timestamp as recorded_at, ? as said_by, ? as note, ? as disputed_amount",
        [dispute_id, statement_id, line_number, event, ledger.next_moment(db), by.strip(), note.strip(), disputed],
    )
