"""The journal of a month for the general ledger: balanced entries in coins of the currency, in a layout that accounting systems import.

An entry per bill (and one for what of it is estimated, accrued by hand, or reversed), its lines by account code and cost centre. Which code an
account of the ledger has is said by ``config/accounts.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from itertools import groupby
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, TollbookError
from tollbook.finance.currencies import minor_units
from tollbook.warehouse import config
from tollbook.warehouse.records import records

#: What the ledger's accounts are called where config/accounts.csv is absent: (account, component, account_code, account_name).
DEFAULT_ACCOUNTS = (
    ("cost", None, "6000", "Cloud and AI services"),
    ("cost", "markup", "6900", "Internal markup"),
    ("tax", None, "1400", "Recoverable tax"),
    ("rounding", None, "6990", "Rounding"),
    ("provider_rounding", None, "6990", "Rounding"),
    ("prepaid", None, "1300", "Prepaid commitments"),
    ("clearing", None, "2000", "Payables to providers"),
    ("accrual", None, "2100", "Accrued costs"),
    ("own_ledger", None, "2200", "Own assets and running costs"),
    ("margin", None, "7000", "Margin of internal prices"),
    ("bridge", None, "9999", "Bridge to bills"),
)
_RULES = (
    "account",
    "component",
    "billed_by",
    "bucket",
    "cost_centre",
    "priority",
    "account_code",
    "account_name",
    "valid_from",
    "valid_to",
    "rule_row",
)
#: Cells that a spreadsheet would take for a formula begin so.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Line:
    """A line of an entry; amounts are in ``currency``, ``ledger_amount`` with every digit, debit positive.

    ``entry_number`` is the entry's in every export of its month; ``known_at`` (ISO, UTC) is when the month's newest posting was recorded.
    """

    entry_number: str
    entry_date: date
    accounting_period: str
    line_number: int
    account_code: str
    account_name: str
    cost_centre: str | None
    project: str | None
    description: str
    debit_amount: Decimal | None
    credit_amount: Decimal | None
    currency: str
    reference: str | None
    reason: str | None
    ledger_account: str
    bucket: str | None
    source_name: str
    billed_by: str | None
    billing_period: str
    usage_period: str | None
    ledger_amount: Decimal
    known_at: str


def accounts_of(file: Path) -> list[tuple]:
    """The account mapping that a file says, or the built-in one where there is no file: one row per rule, in the order of ``_RULES``.

    Raises:
        ConfigError: the file cannot be used.
    """
    if not file.is_file():
        built_in = enumerate(DEFAULT_ACCOUNTS, 1)
        return [(account, component, *[None] * 4, code, name, None, None, row) for row, (account, component, code, name) in built_in]
    with duckdb.connect() as db:
        db.execute("create schema config")
        config.replace(db, "accounts", file)
        return db.execute(f"select {', '.join(_RULES)} from config.accounts").fetchall()


def lines(
    db: duckdb.DuckDBPyConnection, period: date, accounts: Iterable[tuple], known_at: datetime | None = None, by_project: bool = False
) -> list[Line]:
    """The journal of the accounting period (first of its month), from what was posted until ``known_at`` (all by default).

    ``db`` has the ledger and the rules; ``accounts`` as ``accounts_of`` gives them. In showback, all that is charged is one cost centre's.

    Raises:
        ConfigError: an account has no code, or showback names no cost centre.
        TollbookError: nothing was posted in that month. Where postings come to nothing (what was booked is taken back), there are no lines.
    """
    platform = _platform(db, period)
    db.execute(
        "create or replace temp table account_rules (account varchar, component varchar, billed_by varchar, bucket varchar,"
        " cost_centre varchar, priority integer, account_code varchar, account_name varchar, valid_from date, valid_to date, rule_row bigint)"
    )
    listed = list(accounts)
    if listed:
        db.executemany(f"insert into account_rules values ({', '.join('?' * len(_RULES))})", listed)
    db.execute(_POSTED, {"period": period, "known_at": known_at, "platform": platform, "by_project": by_project})
    if not db.execute("select count(*) from journal_posted").fetchone()[0]:
        months = db.execute(
            "select distinct strftime(accounting_period, '%Y-%m') from ledger.postings where recorded_at <= coalesce($1, recorded_at) order by 1",
            [known_at],
        ).fetchall()
        if (f"{period:%Y-%m}",) in months:
            return []
        known = (
            f"there are postings of {', '.join(month for (month,) in months)}" if months else "the ledger is empty: `tollbook run` first"
        )
        raise TollbookError(f"the journal of {period:%Y-%m}{f' as known at {known_at} UTC' if known_at else ''} is empty; {known}.")
    db.execute(_CODED, {"period": period})
    unmapped = db.execute(
        "select account, component, billed_by, bucket, cost_centre from journal_coded where account_code is null order by all limit 1"
    ).fetchone()
    if unmapped:
        account, *other = unmapped
        said = ", ".join(
            f"{name} {value}" for name, value in zip(("component", "billed_by", "bucket", "cost_centre"), other, strict=True) if value
        )
        raise ConfigError(
            f"accounts.csv: account {account}{f' ({said})' if said else ''} has no account code in {period:%Y-%m}. Add a row with account"
            f" {account}, account_code and account_name (other columns empty: for all of it); nothing was written."
        )
    (newest,) = db.execute(
        "select max(recorded_at) from ledger.postings where accounting_period = $1 and recorded_at <= coalesce($2, timestamp '9999-12-31')",
        [period, known_at],
    ).fetchone()
    return [line for key, entry in groupby(records(db, _LINES), key=_entry) for line in _in_coins(period, key, list(entry), newest)]


def export(found: list[Line], out: Path) -> None:
    """Write lines as CSV (UTF-8, a header, a point in decimals); the file is there whole or not at all.

    A text that a spreadsheet would run as a formula (it begins with =, +, -, @, a tab or a line break) gets an apostrophe before it.

    Raises:
        TollbookError: the file cannot be written, or is no CSV.
    """
    if out.suffix.lower() != ".csv":
        raise TollbookError(f"{out}: the journal is written as CSV; call the file .csv.")
    half = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with half.open("w", encoding="utf-8", newline="") as content:
            writer = csv.writer(content, lineterminator="\n")
            writer.writerow([field.name for field in fields(Line)])
            writer.writerows([inert(value) for value in astuple(line)] for line in found)
        os.replace(half, out)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise TollbookError(f"{out} cannot be written: {error}.") from error


def inert(value):
    """A cell that no spreadsheet runs: text that looks like a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def rounded(amounts: list[Decimal], digits: int) -> list[Decimal]:
    """Amounts that add up to 0, each at most one coin away from what it was, so that they still do.

    Largest remainder: each is rounded down, and the coins that are missing go to those that lost most, the first among equals.

    Raises:
        TollbookError: they do not add up to 0.
    """
    coin = Decimal(1).scaleb(-digits)
    if sum(amounts):
        raise TollbookError(f"an entry of the journal adds up to {sum(amounts)}, not to 0; nothing was written.")
    down = [amount.quantize(coin, rounding=ROUND_FLOOR) for amount in amounts]
    lost = sorted(range(len(amounts)), key=lambda index: (down[index] - amounts[index], index))
    for index in lost[: int(-sum(down) / coin)]:
        down[index] += coin
    return down


def _platform(db: duckdb.DuckDBPyConnection, period: date) -> str | None:
    """The cost centre that bears everything, where the month is showback."""
    last = period.replace(day=monthrange(period.year, period.month)[1])
    said = dict(
        db.execute(
            "select policy, value from config.policies where policy in ('chargeback_mode', 'showback_cost_centre')"
            " and coalesce(valid_from, '0001-01-01') <= $1::date and $1::date < coalesce(valid_to, '9999-12-31')",
            [last],
        ).fetchall()
    )
    if said.get("chargeback_mode") != "showback":
        return None
    if "showback_cost_centre" not in said:
        raise ConfigError(
            f"policies.csv: {period:%Y-%m} is showback, and no policy showback_cost_centre says which cost centre bears the cost."
            " Add it; nothing was written."
        )
    return said["showback_cost_centre"].strip()


def _entry(row: dict) -> tuple[str, str | None, str, str, str]:
    """What an entry is told apart by inside its month."""
    return row["source_name"], row["billed_by"], f"{row['billing_period']:%Y-%m}", row["kind"], row["currency_code"]


def _number(period: date, key: tuple) -> str:
    """Of the entry itself, not of its place: whatever else is posted, the number stays, and no other entry of the month gets it."""
    return f"{period:%Y-%m}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]}"


def _in_coins(period: date, key: tuple, entry: list[dict], newest: datetime) -> Iterable[Line]:
    """The lines of an entry; those of less than half a coin that come to nothing are left out."""
    currency = entry[0]["currency_code"]
    # what is taken back is rounded as it was booked: of equals, the same line gets the coin
    sign = -1 if entry[0]["kind"] == "accrual_reversal" else 1
    amounts = [sign * amount for amount in rounded([sign * row["cost"] for row in entry], minor_units(currency))]
    kept = [(row, amount) for row, amount in zip(entry, amounts, strict=True) if amount]
    for line_number, (row, amount) in enumerate(kept, 1):
        yield Line(
            entry_number=_number(period, key),
            # what is taken back is so from the month's beginning, all else stands at its end
            entry_date=period if row["kind"] == "accrual_reversal" else period.replace(day=monthrange(period.year, period.month)[1]),
            accounting_period=f"{period:%Y-%m}",
            line_number=line_number,
            account_code=row["account_code"],
            account_name=row["account_name"],
            cost_centre=row["cost_centre"],
            project=row["project"],
            description=_description(row),
            debit_amount=amount if amount > 0 else None,
            credit_amount=-amount if amount < 0 else None,
            currency=currency,
            reference=row["invoice_id"] or row["commitment_id"] or _statement(period, row),
            reason=row["reason"],
            ledger_account=row["account"],
            bucket=row["bucket"],
            source_name=row["source_name"],
            billed_by=row["billed_by"],
            billing_period=f"{row['billing_period']:%Y-%m}",
            usage_period=f"{row['usage_period']:%Y-%m}" if row["usage_period"] else None,
            ledger_amount=row["cost"],
            known_at=newest.isoformat(),
        )


def _statement(period: date, row: dict) -> str | None:
    """The statement that states what is charged, without its version: 2026-09/CC-100, or 2026-09/bucket:idle."""
    if not row["payer"]:
        return None
    return f"{period:%Y-%m}/" + (row["payer"] if row["bucket"] == "allocated" else f"bucket:{row['bucket']}")


def _description(row: dict) -> str:
    """What a line is, in words: who billed, which month's usage, who pays, and why it was posted."""
    words = [f"{row['billed_by'] or row['source_name']} {row['billing_period']:%Y-%m}"]
    if row["kind"] != "bill":
        words.append({"estimate": "not billed yet", "accrual": "accrual", "accrual_reversal": "accrual reversed"}[row["kind"]])
    if row["usage_period"]:
        words.append(f"usage of {row['usage_period']:%Y-%m}")
    elif row["invoice_id"]:
        words.append(f"invoice {row['invoice_id']}")
    elif row["account"] == "clearing":
        words.append("no invoice named yet")
    elif row["commitment_id"]:
        words.append(f"commitment {row['commitment_id']}")
    if row["payer"] and not row["cost_centre"]:
        words.append(row["payer"])
    if row["reason"] and row["reason"] not in ("usage", row["kind"]):
        words.append(row["reason"].replace("_", " "))
    return ", ".join(words)


# what is charged bears its payer; the other side is of nobody
_POSTED = """
create or replace temp table journal_posted as
select
    case
        when reason in ('accrual', 'accrual_reversal') then reason
        when basis = 'estimated' then 'estimate'
        else 'bill'
    end as kind,
    billing_period, source_name, billed_by, account, component, bucket, invoice_id, commitment_id,
    case when bucket is not null or account = 'margin' then coalesce($platform, cost_centre) end as cost_centre,
    case when bucket is not null and $platform is null then coalesce(cost_centre, team) end as payer,
    case when $by_project then project end as project,
    case when bucket is not null then reason end as reason,
    case when bucket is not null then date_trunc('month', usage_date)::date end as usage_period,
    currency_code, sum(posted_cost)::decimal(38, 12) as cost
from ledger.postings
where accounting_period = $period and recorded_at <= coalesce($known_at, timestamp '9999-12-31')
group by all
having sum(posted_cost) <> 0
"""

_MATCHES = " and ".join(
    f"(coalesce(trim(rules.{name}), '') = '' or lower(what.{name}) glob lower(trim(rules.{name})))" for name in _RULES[1:5]
)
_NAMED = " + ".join(f"case when coalesce(trim(rules.{name}), '') = '' then 0 else 1 end" for name in _RULES[1:5])
_LENGTH = " + ".join(f"length(replace(coalesce(trim(rules.{name}), ''), '*', ''))" for name in _RULES[1:5])

# the rule with the smallest priority (100 where none is said), then the one that names most, in most letters, then the first
_CODED = f"""
create or replace temp table journal_coded as
select what.*, rules.account_code, rules.account_name
from (select distinct account, component, billed_by, bucket, cost_centre from journal_posted) as what
left join account_rules as rules
    on what.account = rules.account and {_MATCHES} and coalesce(rules.valid_from, '0001-01-01') <= last_day($period::date)
    and last_day($period::date) < coalesce(rules.valid_to, '9999-12-31')
qualify row_number() over (
    partition by what.account, what.component, what.billed_by, what.bucket, what.cost_centre
    order by coalesce(rules.priority, 100), {_NAMED} desc, {_LENGTH} desc, rules.rule_row
) = 1
"""

_LINES = """
select
    posted.source_name, posted.billed_by, posted.billing_period, posted.kind, posted.currency_code, coded.account_code, coded.account_name,
    posted.account,
    posted.cost_centre, posted.payer, posted.project, posted.bucket, posted.invoice_id, posted.commitment_id, posted.reason,
    posted.usage_period, sum(posted.cost)::decimal(38, 12) as cost
from journal_posted as posted
inner join journal_coded as coded
    on posted.account = coded.account and posted.component is not distinct from coded.component
    and posted.billed_by is not distinct from coded.billed_by and posted.bucket is not distinct from coded.bucket
    and posted.cost_centre is not distinct from coded.cost_centre
group by all
having sum(posted.cost) <> 0
order by all
"""
