"""Issue a month's statements: written as files for those who read them, recorded in the ledger for those who ask later what was said."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance import disputes, freeze, ledger, periods
from tollbook.finance.statements import lines
from tollbook.finance.statements.figures import Statement, statements_of
from tollbook.finance.statements.layout import document_of
from tollbook.finance.statements.wording import DEFAULT, Wording
from tollbook.warehouse import config, lock, schema
from tollbook.warehouse.records import records
from tollbook.workspace import Workspace

#: What may stand in a file's name; all else becomes an underscore, and the name gets a mark of its own.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+|\.{2,}|^[.-]+")


def issue(
    workspace: Workspace,
    period: date,
    folder: Path,
    out: Path,
    draft: bool = False,
    again: bool = False,
    locale: str | None = None,
    recipients: Sequence[str] | None = None,
    pdf: bool = True,
    tell: Callable[[str], None] = print,
) -> list[Statement]:
    """Write the statements of ``period`` (first of a month) from its frozen ``folder`` to ``out``; return them, with their files.

    Unless it is a draft they are recorded in ``ledger.statements`` and ``ledger.statement_lines``, in one transaction: once for each
    frozen folder. What is issued again from the same folder is the same statement; another folder, frozen after a reopening, makes
    its next version: the number of that close. With ``again`` only what was issued from the folder before is written, with the disputes
    of then; nothing is recorded, and no file that says something else is replaced. ``recipients`` restricts to some (a cost centre,
    bucket or tenant). The locale is ``locale``, else that in which the statement was issued before, else that of ``config/recipients.csv``.

    Raises:
        TollbookError: the folder is not what was frozen, nothing is charged, nobody is called so, or a statement that was issued
            from this folder would say something else now; nothing is recorded then. With ``again`` also: it was never issued from it,
            or another file is in its place; nothing is written then.
    """
    with lock.writing(workspace, "tollbook statements", tell=tell), _scratch(workspace) as scratch:
        return _issued(workspace, period, folder, out, scratch, draft, again, locale, recipients, pdf)


def _issued(
    workspace: Workspace,
    period: date,
    folder: Path,
    out: Path,
    scratch: Path,
    draft: bool = False,
    again: bool = False,
    locale: str | None = None,
    recipients: Sequence[str] | None = None,
    pdf: bool = True,
) -> list[Statement]:
    """What ``issue`` does, in a folder of its own; the lock is held."""
    with workspace.connect() as db:
        schema.ensure(db)
        config.replace(db, "recipients", workspace.config / "recipients.csv")
        freeze.manifest_of(folder, None if draft else periods.hash_of(db, _name_of(workspace, folder)))
        statements = _wanted(statements_of(db, folder, period), recipients)
        known = _recipients(db, period)
        kept_as = _name_of(workspace, folder)
        spoken = _locales(db, period, kept_as)
        for statement in statements:
            statement.is_draft = draft
            of_rules = known.get((statement.recipient_kind, statement.recipient), {}).get("locale")
            statement.locale = locale or spoken.get((statement.recipient_kind, statement.recipient)) or of_rules or DEFAULT
        new = [] if draft else _number(db, statements, period, kept_as)
        if again:
            statements = _issued_before(statements, new, bool(recipients))
            _add_disputes_of_then(db, statements)
        else:
            _add_disputes(db, statements, datetime.max)
        _write(statements, known, scratch, pdf)
        if again:
            _refuse_to_replace(statements, out)
        out.mkdir(parents=True, exist_ok=True)
        for statement in statements:
            statement.files = [Path(shutil.move(file, out / file.name)) for file in statement.files]
        # last: what is recorded as issued is there to be sent
        if new and not again:
            _record(db, new, period, kept_as)
    return statements


def issue_closed(workspace: Workspace, period: date, out: Path | None = None, version: int | None = None, **options) -> list[Statement]:
    """``issue`` from the folder that the last close of ``period`` kept, to ``statements/<folder>`` by default; or issue ``again`` what was
    issued from that of its close number ``version``, though the month be open since.

    What stands there is what was sent: another ``locale`` goes to another folder.

    Raises:
        TollbookError: the month is not closed or only by the opening balance, was not closed so often, or a locale is given and no other
            folder.
    """
    workspace.require_warehouse()
    with workspace.connect() as db:
        schema.ensure(db)
        closed = period in ledger.closed_periods(db)
        closes = periods.closes(db, period)
    if version is None and not closed:
        raise TollbookError(
            f"{period:%Y-%m} is not closed, so its statements cannot be issued. Close it with `tollbook close {period:%Y-%m}`,"
            " or see what they would say with --draft." + (" What was issued before, --version issues again." if closes else "")
        )
    close = closes[-1] if version is None else _close_of(period, closes, version)
    if close.folder is None:
        raise TollbookError(f"{period:%Y-%m} was {periods.OPENING}.")
    options["again"] = version is not None
    sent = workspace.statements / close.folder
    if options.get("locale") and (out is None or out.resolve() == sent.resolve()):
        raise TollbookError(
            f"nothing was written: {sent} keeps the statements of {period:%Y-%m} in the language in which they were issued."
            f" Give another folder with --out for those in {options['locale']}."
        )
    return issue(workspace, period, workspace.closed / close.folder, out or sent, **options)


def issue_draft(
    workspace: Workspace, period: date, out: Path | None = None, tell: Callable[[str], None] = print, **options
) -> list[Statement]:
    """``issue`` what would be stated if the month were closed now: frozen for the moment, marked as a draft, recorded nowhere.

    Raises:
        TollbookError: the month is closed, the newest build is not posted, or nothing is charged in the month.
    """
    workspace.require_warehouse()
    with lock.writing(workspace, "tollbook statements --draft", tell=tell), _scratch(workspace) as scratch:
        folder = scratch / "month"
        with workspace.connect() as db:
            schema.ensure(db)
            if period in ledger.closed_periods(db):
                raise TollbookError(f"{period:%Y-%m} is closed: its statements are issued, without --draft. A draft is of an open month.")
            if not ledger.is_posted(db):
                raise TollbookError("the ledger does not have the newest build yet. Run `tollbook run`, or `tollbook post`, first.")
            freeze.freeze(db, period, ledger.next_moment(db), workspace.currency, folder, evidence=False)
        out = out or workspace.statements / f"{period:%Y-%m}-draft"
        return _issued(workspace, period, folder, out, scratch, draft=True, **options)


@contextmanager
def _scratch(workspace: Workspace) -> Iterator[Path]:
    """A folder for what is not whole yet, gone at the end. Whoever holds the lock is alone: what is there already was left by the killed."""
    workspace.temp.mkdir(exist_ok=True)
    for leftover in workspace.temp.glob("statements-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="statements-", dir=workspace.temp) as temporary:
        yield Path(temporary)


def _close_of(period: date, closes: Sequence[periods.Close], version: int) -> periods.Close:
    for close in closes:
        if close.number == version:
            return close
    if not closes:
        raise TollbookError(f"{period:%Y-%m} was never closed, so no statements of it were issued.")
    kept = [close for close in closes if close.number is not None]
    if not kept:
        raise TollbookError(f"{period:%Y-%m} was {periods.OPENING}.")
    known = ", ".join(f"{close.number} (closed {close.recorded_at:%Y-%m-%d %H:%M} UTC)" for close in kept)
    raise TollbookError(f"there is no version {version} of the statements of {period:%Y-%m}. There are: {known}.")


def _issued_before(statements: list[Statement], new: list[Statement], named: bool) -> list[Statement]:
    """The statements without the ``new`` ones, which were never issued; none of those may be asked for by name."""
    never = [statement.statement_id for statement in new]
    if len(never) == len(statements) or (named and never):
        raise TollbookError(
            f"never issued, so not issued again: {', '.join(never)}. `tollbook statements` without --version issues what is new of the last close."
        )
    return [statement for statement in statements if statement.statement_id not in never]


def _refuse_to_replace(statements: list[Statement], out: Path) -> None:
    files = [file for statement in statements for file in statement.files]
    other = [out / file.name for file in files if (out / file.name).exists() and (out / file.name).read_bytes() != file.read_bytes()]
    if other:
        raise TollbookError(
            f"nothing was written: {other[0]} is not what would be written now, with the same content (other words, fonts or addressee)."
            " It may be what was sent; give another folder with --out."
        )


def _wanted(statements: list[Statement], recipients: Sequence[str] | None) -> list[Statement]:
    if not recipients:
        return statements
    wanted = [statement for statement in statements if statement.recipient in recipients]
    missing = sorted(set(recipients) - {statement.recipient for statement in wanted})
    if missing:
        known = ", ".join(statement.recipient for statement in statements)
        raise TollbookError(f"nothing is charged to {', '.join(missing)} in {statements[0].period:%Y-%m}. Charged are: {known}.")
    return wanted


def _recipients(db: duckdb.DuckDBPyConnection, period: date) -> dict[tuple[str, str], dict[str, str | None]]:
    """What ``config/recipients.csv`` says of each on the last day of the month."""
    found = db.execute(
        "select lower(trim(recipient_kind)), recipient, locale, name, address, owner from config.recipients"
        " where coalesce(valid_from, '0001-01-01') < $period::date + interval 1 month"
        " and coalesce(valid_to, '9999-12-31') >= $period::date + interval 1 month",
        {"period": period},
    ).fetchall()
    return {(kind, recipient): dict(zip(("locale", "name", "address", "owner"), said, strict=True)) for kind, recipient, *said in found}


def _locales(db: duckdb.DuckDBPyConnection, period: date, folder: str) -> dict[tuple[str, str], str]:
    """In which locale each statement was issued from this folder before."""
    issued = "select recipient_kind, recipient, locale from ledger.statements where accounting_period = ? and folder = ?"
    return {(kind, recipient): locale for kind, recipient, locale in db.execute(issued, [period, folder]).fetchall()}


def _name_of(workspace: Workspace, folder: Path) -> str:
    """A frozen folder as the ledger names it: within the folder of closed months, which may move with the workspace."""
    folder = folder.resolve()
    return str(folder.relative_to(workspace.closed)) if folder.is_relative_to(workspace.closed) else str(folder)


def _number(db: duckdb.DuckDBPyConnection, statements: list[Statement], period: date, folder: str) -> list[Statement]:
    """Give each statement its version; return those that were not issued from this folder before."""
    issued = {
        (kind, recipient): (newest, versions, hashes)
        for kind, recipient, newest, versions, hashes in db.execute(
            "select recipient_kind, recipient, max(version), map_from_entries(list((folder, version))), map_from_entries(list((folder, content_hash)))"
            " from ledger.statements where accounting_period = ? group by recipient_kind, recipient",
            [period],
        ).fetchall()
    }
    number = next((close.number for close in periods.closes(db, period) if close.folder == folder), 0)
    new = []
    for statement in statements:
        newest, versions, hashes = issued.get((statement.recipient_kind, statement.recipient), (0, {}, {}))
        # not what was issued before it alone: a recipient need not be in every close
        statement.version = versions.get(folder, max(newest + 1, number))
        if folder not in versions:
            new.append(statement)
        elif hashes[folder] != statement.content_hash:
            raise TollbookError(
                f"statement {statement.statement_id} was issued from {folder} with content hash {hashes[folder]} and would now have"
                f" {statement.content_hash}. Nothing was issued. It was made by Tollbook {statement.content['tollbook']}; use that version."
            )
    return new


def _add_disputes_of_then(db: duckdb.DuckDBPyConnection, statements: list[Statement]) -> None:
    """The disputes of these statements as they stood when each was issued."""
    issued_at = dict(db.execute("select statement_id, issued_at from ledger.statements").fetchall())
    by_moment: dict[datetime, list[Statement]] = defaultdict(list)
    for statement in statements:
        by_moment[issued_at[statement.statement_id]].append(statement)
    for moment, issued in by_moment.items():
        _add_disputes(db, issued, moment)


def _add_disputes(db: duckdb.DuckDBPyConnection, statements: list[Statement], until: datetime) -> None:
    """The disputes of these statements, of whatever version, that nobody had accepted or rejected at a moment."""
    found = records(
        db,
        f"from ({disputes.STANDING}) where accounting_period = $period and status in ('raised', 'answered') order by raised_at, dispute_id",
        {"until": until, "period": statements[0].period},
    )
    by_recipient = {(statement.recipient_kind, statement.recipient): statement for statement in statements}
    for dispute in found:
        of = by_recipient.get((dispute["recipient_kind"], dispute["recipient"]))
        if of:
            of.disputes.append(dispute)


def _write(statements: list[Statement], known: dict, folder: Path, pdf: bool) -> None:
    # reportlab and xlsxwriter take a second to import
    from tollbook.finance.statements import pdf as pdf_file
    from tollbook.finance.statements import xlsx as xlsx_file

    wordings: dict[str, Wording] = {}
    names: set[str] = set()
    for statement in statements:
        if statement.locale not in wordings:
            wordings[statement.locale] = Wording(statement.locale, statement.currency, statement.digits)
        recipient = known.get((statement.recipient_kind, statement.recipient), {})
        document = document_of(statement, wordings[statement.locale], recipient)
        name = file_name(statement, names)
        names.add(name.lower())
        statement.files = [folder / f"{name}.xlsx", *([folder / f"{name}.pdf"] if pdf else [])]
        xlsx_file.write(document, statement.files[0])
        if pdf:
            pdf_file.write(document, statement.files[1])


def file_name(statement: Statement, taken: set[str]) -> str:
    """A name that any file system takes, of one statement only: ``taken`` are those of others, in lower case."""
    kind = "" if statement.recipient_kind == "cost_centre" else f"{statement.recipient_kind}_"
    ending = "draft" if statement.is_draft else f"v{statement.version}"
    safe = _UNSAFE.sub("_", statement.recipient)[:60]
    name = f"{statement.period:%Y-%m}_{kind}{safe}_{ending}"
    if safe != statement.recipient or name.lower() in taken:
        digest = hashlib.sha256(f"{statement.recipient_kind} {statement.recipient}".encode()).hexdigest()[:10]
        name = f"{statement.period:%Y-%m}_{kind}{safe}_{digest}_{ending}"
    return name


def _record(db: duckdb.DuckDBPyConnection, statements: list[Statement], period: date, folder: str) -> None:
    """Add the statements and their lines to the ledger, all or none."""
    issued_at = ledger.next_moment(db)
    db.execute(
        "create or replace temp table issued (statement_id varchar, recipient_kind varchar, recipient varchar, version integer,"
        " mode varchar, known_at timestamp, locale varchar, currency_code varchar, content_hash varchar)"
    )
    db.executemany(
        "insert into issued values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (one.statement_id, one.recipient_kind, one.recipient, one.version, one.mode, one.content["known_at"], one.locale, one.currency,
             one.content_hash)
            for one in statements
        ],
    )  # fmt: skip
    stated = lines.money("stated", statements[0].digits)
    db.begin()
    try:
        db.execute(
            f"insert into ledger.statements by name select issued.*, accounting_period, charged_cost, {stated} as stated_amount,"
            " ? as folder, ?::timestamp as issued_at from issued inner join stated_totals using (recipient_kind, recipient)"
            " where accounting_period = ?::date order by statement_id",
            [folder, issued_at, period],
        )
        db.execute(
            f"insert into ledger.statement_lines by name select statement_id, line_number, section, usage_period, billed_by, component,"
            f" service_name, gpu_model, model, project, reason, charged_cost, {stated} as stated_amount, currency_code"
            " from issued inner join stated_lines using (recipient_kind, recipient) where accounting_period = ?::date"
            " order by statement_id, line_number",
            [period],
        )
        db.commit()
    except BaseException:
        db.rollback()
        raise
