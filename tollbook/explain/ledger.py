"""Where a statement line or a posting comes from: postings, what the models allocated, bill rows with their delivery, and telemetry rows.

Each level adds up to the one above; what no kept row tells apart stands there under a name of its own.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, localcontext
from pathlib import Path

import duckdb
from rich.markup import escape
from rich.tree import Tree

from tollbook.errors import TollbookError
from tollbook.explain.evidence import EXACT_DIGITS, Evidence
from tollbook.explain.lines import exact, limited, remainder
from tollbook.finance import periods
from tollbook.finance.currencies import coins
from tollbook.finance.ledger import BY_HAND, SECTION
from tollbook.finance.tables import KEYS
from tollbook.warehouse.records import records

#: Who a charge is stated to.
RECIPIENT = "case when bucket = 'allocated' then coalesce(cost_centre, team, 'allocated') else bucket end"
#: What a line of a statement is told apart by, beside its section and reason.
_LINE = ("usage_period", "billed_by", "component", "service_name", "gpu_model", "model", "project")
#: Why something is posted that was posted otherwise before.
_CHANGES = ("correction", "late_bill", "rule_change", "method_change", "true_up")
#: The accounts of the bill's side and what of a bill row each takes.
_OF_BILLS = {
    "clearing": "-reporting_billed_cost",
    "bridge": "reporting_effective_cost",
    "prepaid": "reporting_billed_cost - reporting_effective_cost",
    "provider_rounding": "reporting_billed_cost - reporting_effective_cost",
}


def statement(db: duckdb.DuckDBPyConnection, closed: Path, statement_id: str, line_number: int | None = None) -> Tree:
    """One statement's lines, or one line down to bill rows and telemetry. ``db``: the warehouse; ``closed``: the folder of closed months.

    Raises:
        TollbookError: no such statement or line was issued, or what is kept of its month was changed.
    """
    with localcontext(prec=EXACT_DIGITS):
        head = _one(db, "from ledger.statements where statement_id = ?", [statement_id])
        if head is None:
            month = re.match(r"(\d{4}-(?:0[1-9]|1[0-2]))/", statement_id)
            if month and periods.is_opening(db, date.fromisoformat(f"{month[1]}-01")):
                raise TollbookError(f"no statement `{statement_id}` was issued; {month[1]} was {periods.OPENING}.")
            raise TollbookError(
                f'no statement `{statement_id}` was issued. `tollbook query "select statement_id from finance.fct_statements"` lists them.'
            )
        lines = records(
            db, "from ledger.statement_lines where statement_id = ? order by abs(charged_cost) desc, line_number", [statement_id]
        )
        currency = head["currency_code"]
        said = (
            f"[bold]statement {escape(statement_id)}: {exact(head['charged_cost'], currency)}[/] · stated {coins(head['stated_amount'], currency)} {currency}"
            f" · {escape(head['recipient_kind'])} {escape(head['recipient'])}, as known at {head['known_at']}"
        )
        if line_number is None:
            root = Tree(said)
            for line in limited(root, lines, lambda line: line["charged_cost"], currency):
                root.add(_line_label(line))
            remainder(root, head["charged_cost"] - sum(line["charged_cost"] for line in lines), currency, "on no line")
            return root
        found = [line for line in lines if line["line_number"] == line_number]
        if not found:
            raise TollbookError(f"statement `{statement_id}` has no line {line_number}: it has {len(lines)}, from 1 on.")
        evidence = Evidence(db, currency, closed, head["accounting_period"], head["known_at"])
        _take(db, head, found[0])
        root = Tree(said)
        line = root.add(_line_label(found[0]))
        _explain(evidence, line, found[0]["charged_cost"])
        evidence.deliveries(root)
        return root


def posting(db: duckdb.DuckDBPyConnection, closed: Path, posting_id: int) -> Tree:
    """One posting: its key and run, what the models said and the ledger held before, and what it is made of. ``db``: the warehouse.

    Raises:
        TollbookError: there is no such posting, or what is kept of its month was changed.
    """
    with localcontext(prec=EXACT_DIGITS):
        row = _one(db, "from ledger.postings where posting_id = ?", [posting_id])
        if row is None:
            (count,) = db.execute("select count(*) from ledger.postings").fetchone()
            raise TollbookError(f"no posting {posting_id} was made: there are {count:,}, numbered from 1 on.")
        cost, currency = row["posted_cost"], row["currency_code"]
        db.execute("create or replace temp table line_postings as from ledger.postings where posting_id = ?", [posting_id])
        root = Tree(
            f"[bold]posting {posting_id}: {exact(cost, currency)}[/] · {'debit' if cost > 0 else 'credit'} {row['account']} · {row['reason']}"
            f" · in {row['accounting_period']:%Y-%m}"
        )
        root.add("key: " + ", ".join(f"{name} {escape(str(row[name]))}" for name in KEYS if row[name] is not None))
        run = _one(db, "from ledger.runs where run_id = ? order by recorded_at limit 1", [row["run_id"]]) or {}
        root.add(
            f"run {row['run_id']}, recorded {row['recorded_at']}"
            + (f", build of {run['built_at']}, rules {run['config_hash'][:12]}, models {run['models_hash'][:12]}" if run else "")
        )
        if row["reason"] in BY_HAND:
            root.add("booked by hand: no model says it")
        else:
            same = " and ".join(f"{name} is not distinct from ${name}" for name in KEYS)
            before, now = db.execute(
                "select coalesce(sum(posted_cost) filter (recorded_at < $recorded_at), 0), sum(posted_cost) from ledger.postings"
                f" where recorded_at <= $recorded_at and reason not in {BY_HAND} and {same}",
                {name: row[name] for name in (*KEYS, "recorded_at")},
            ).fetchone()
            root.add(f"the models said {exact(now, currency)}, the ledger held {exact(before, currency)}")
        evidence = Evidence(db, currency, closed, row["accounting_period"], row["recorded_at"])
        if periods.is_opening(db, row["accounting_period"]):
            root.add(
                f"{row['accounting_period']:%Y-%m} was settled before the ledger began: nothing was kept of it, the models say this now"
            )
        if row["bucket"] is not None:
            _explain(evidence, root, cost, only=True)
        elif row["basis"] == "invoiced":
            _bill_side(evidence, root, row)
        else:
            _other_side(db, root, row)
        evidence.deliveries(root)
        return root


def _take(db, head: dict, line: dict) -> None:
    """The line's postings, as a table: those of its month and recipient, known when it was stated, by what a line is told apart by."""
    who = f"(bucket = 'allocated') = ($kind = 'cost_centre') and {RECIPIENT} = $recipient"
    same = " and ".join(f"{name} is not distinct from ${name}" for name in _LINE)
    db.execute(
        "create or replace temp table line_postings as select * exclude (usage_period) from"
        " (select *, date_trunc('month', usage_date)::date as usage_period from ledger.postings)"
        " where bucket is not null and accounting_period = $period and recorded_at <= $known_at"
        f" and case when $kind = 'tenant' then tenant = $recipient else {who} end"
        f" and {SECTION} = $section and ($section = 'charges' or $reason::varchar is null or reason = $reason) and {same}",
        {name: line[name] for name in (*_LINE, "section", "reason")}
        | {
            "kind": head["recipient_kind"],
            "recipient": head["recipient"],
            "period": head["accounting_period"],
            "known_at": head["known_at"],
        },
    )


def _explain(evidence: Evidence, branch: Tree, cost: Decimal, only: bool = False) -> None:
    """What ``line_postings`` come to, twice: as posted, and as what the models allocated less what was posted before."""
    db, currency = evidence.db, evidence.currency
    if not only:
        _posted(db, branch, cost, currency)
    evidence.gather()
    allocated, before, by_hand = evidence.totals()
    made = branch.add(f"made of: {exact(cost, currency)}")
    if allocated or not (before or by_hand):
        evidence.allocated(made.add(f"allocated, {evidence.said}: {exact(allocated, currency)}"))
    if before:
        _held(db, made, before, currency)
    for reason, posted in by_hand:
        made.add(f"{reason}, on no bill: {exact(posted, currency)}")
    rest = cost - allocated + before - sum(posted for _, posted in by_hand)
    remainder(made, rest, currency, "not in what is kept: the models have changed since")
    _causes(db, branch, currency)


def _posted(db, branch: Tree, cost: Decimal, currency: str) -> None:
    (count, total) = db.execute("select count(*), coalesce(sum(posted_cost), 0) from line_postings").fetchone()
    told = branch.add(f"posted, {count:,} postings: {exact(total, currency)}")
    remainder(branch, cost - total, currency, "stated but not among the postings of the line")
    for run, moment, reason, account, count, posted in db.execute(
        "select run_id, recorded_at, reason, account, count(*), sum(posted_cost) from line_postings group by all order by recorded_at, reason, account"
    ).fetchall():
        group = told.add(f"run {run}, recorded {moment} · {reason} · account {account} · {count:,} postings: {exact(posted, currency)}")
        rows = db.execute(
            "select posting_id, usage_date, source_name, strftime(billing_period, '%Y-%m'), team, rule, posted_cost from line_postings"
            " where recorded_at = ? and reason = ? and account = ? order by abs(posted_cost) desc, posting_id",
            [moment, reason, account],
        ).fetchall()
        for number, day, source, period, team, rule, one in limited(group, rows, lambda row: row[-1], currency):
            bill = f"{escape(source or '–')} {period or '–'}"
            group.add(f"posting {number} · {day} · {escape(team)} · {bill} · by {escape(rule or 'no rule')}: {exact(one, currency)}")


def _held(db, branch: Tree, before: Decimal, currency: str) -> None:
    """What other postings hold of the same keys, to be taken off."""
    told = branch.add(f"less what was posted of it otherwise: {exact(-before, currency)}")
    rows = db.execute(
        "select accounting_period, run_id, recorded_at, reason, count(*), -sum(posted_cost) from held_postings group by all"
        " order by abs(sum(posted_cost)) desc, recorded_at, reason"
    ).fetchall()
    for period, run, moment, reason, count, posted in limited(told, rows, lambda row: row[-1], currency):
        told.add(f"in {period:%Y-%m} by run {run}, recorded {moment} · {reason} · {count:,} postings: {exact(posted, currency)}")


def _causes(db, branch: Tree, currency: str) -> None:
    """Of each run that changed something: what was delivered since the run before it, and which rules decide now and did before."""
    runs = db.execute(
        "select recorded_at, run_id, sum(posted_cost), string_agg(distinct reason, ', ' order by reason) from line_postings"
        f" where reason in {_CHANGES} group by all order by recorded_at"
    ).fetchall()
    for moment, run, posted, reasons in runs:
        told = branch.add(f"why ({reasons}), run {run}: {exact(posted, currency)}")
        for rule, one in db.execute(
            f"select rule, sum(posted_cost) from line_postings where recorded_at = ? and reason in {_CHANGES} group by rule order by 2, 1",
            [moment],
        ).fetchall():
            told.add(f"decided by {escape(rule or 'no rule')}{_content(db, rule)}: {exact(one, currency)}")
        previous = _one(db, "from ledger.runs where recorded_at < ? order by recorded_at desc limit 1", [moment])
        this = _one(db, "from ledger.runs where recorded_at = ?", [moment])
        if previous is None or this is None:
            continue
        for name, what in (("config_hash", "rules"), ("models_hash", "models")):
            if previous[name] != this[name]:
                told.add(f"{what} changed between the runs: {previous[name][:12]} to {this[name][:12]}")
        rows = db.execute(
            _ARRIVED, {"since": previous["recorded_at"], "until": moment, "reasons": list(_CHANGES), "moment": moment}
        ).fetchall()
        for source, table, files, loaded, content, count, replaced in limited(told, rows):
            instead = f", in place of content {replaced}" if replaced else ""
            told.add(
                f"delivered: {escape(source)} ({table}) {escape(files)} · loaded {loaded} · content {content} · {count:,} rows{instead}"
            )
        if not rows:
            told.add(f"no delivery for these days was loaded between {previous['recorded_at']} and {moment}")


_ARRIVED = """
select
    deliveries.source_name, deliveries.table_name, array_to_string(deliveries.file_names, ', '), deliveries.loaded_at, deliveries.delivery_id,
    deliveries.rows_loaded,
    (
        select max_by(earlier.delivery_id, earlier.loaded_at) from meta.deliveries as earlier
        where earlier.source_name = deliveries.source_name and earlier.partition_key = deliveries.partition_key
            and earlier.loaded_at < deliveries.loaded_at and earlier.delivery_id <> deliveries.delivery_id
    )
from meta.deliveries as deliveries
where deliveries.loaded_at > $since and deliveries.loaded_at <= $until and deliveries.status = 'loaded'
    and exists (
        select 1 from meta.delivery_days as days
        where days.source_name = deliveries.source_name and days.delivery_id = deliveries.delivery_id and days.usage_date in (
            select usage_date from line_postings where recorded_at = $moment and list_contains($reasons, reason)
        )
    )
order by deliveries.source_name not in (select source_name from line_postings), deliveries.loaded_at, deliveries.source_name
"""


def _content(db, rule: str | None) -> str:
    """What the rule's version says, where it is known."""
    if not rule or "@" not in rule:
        return ""
    (table, rest), (_, version) = rule.split("/", 1), rule.rsplit("@", 1)
    found = db.execute(
        "select content, in_force_from from meta.rule_versions where table_name = ? and rule_key = ? and rule_version::varchar = ?",
        [table, rest.rsplit("@", 1)[0], version],
    ).fetchone()
    return f" ({escape(found[0])}{f', in force from {found[1]}' if found[1] else ''})" if found else ""


def _bill_side(evidence: Evidence, root: Tree, row: dict) -> None:
    """A posting of the bill's side: the bill rows of its day and invoice, less what was posted of it before."""
    db, currency = evidence.db, evidence.currency
    taken = _OF_BILLS.get(row["account"])
    if taken is None:
        root.add("digits past the 12th of what the bill's day comes to")
        return
    same = " and ".join(f"{name} is not distinct from ${name}" for name in KEYS)
    (before,) = db.execute(
        f"select coalesce(sum(posted_cost), 0) from ledger.postings where posting_id <> $posting_id and {same}",
        {name: row[name] for name in (*KEYS, "posting_id")},
    ).fetchone()
    made = root.add(f"made of: {exact(row['posted_cost'], currency)}")
    where = "source_name = $source_name and billed_by = $billed_by and billing_period = $billing_period and charge_date = $usage_date"
    params = {name: row[name] for name in ("source_name", "billed_by", "billing_period", "usage_date")}
    if row["account"] == "clearing":
        where, params = f"{where} and invoice_id is not distinct from $invoice_id", params | {"invoice_id": row["invoice_id"]}
    elif row["account"] == "prepaid":
        where = f"{where} and commitment_discount_id is not distinct from $commitment_id and {taken} <> 0"
        params |= {"commitment_id": row["commitment_id"]}
    elif row["account"] == "provider_rounding":
        where = f"{where} and {taken} <> 0"
    rows = evidence.bill_total(made, where, params, taken)
    if before:
        made.add(f"less what was posted of it otherwise: {exact(-before, currency)}")
    remainder(made, row["posted_cost"] - rows + before, currency, "of other rows of the bill's day, or digits past the 12th")


def _other_side(db, root: Tree, row: dict) -> None:
    """The other side of charges: those of its run, bill and day, by recipient."""
    told = root.add(f"the other side of what the run charged of the bill's day: {exact(row['posted_cost'], row['currency_code'])}")
    rows = db.execute(
        f"select {RECIPIENT} as recipient, team, component, -sum(posted_cost) from ledger.postings where bucket is not null"
        " and run_id = $run_id and recorded_at = $recorded_at and usage_date = $usage_date and billing_period is not distinct from $billing_period"
        " and source_name is not distinct from $source_name and billed_by is not distinct from $billed_by and basis is not distinct from $basis"
        " group by all order by abs(sum(posted_cost)) desc, 1, 2, 3",
        {name: row[name] for name in ("run_id", "recorded_at", "usage_date", "billing_period", "source_name", "billed_by", "basis")},
    ).fetchall()
    for recipient, team, component, cost in limited(told, rows, lambda one: one[-1], row["currency_code"]):
        told.add(f"{escape(recipient)} · {escape(team)} · {escape(component or '–')}: {exact(cost, row['currency_code'])}")
    remainder(told, row["posted_cost"] - sum(one[-1] for one in rows), row["currency_code"], "of charges of other runs")


def _line_label(line: dict) -> str:
    period: date = line["usage_period"]
    named = [escape(str(line[name])) for name in ("billed_by", *_LINE[2:], "reason") if line[name] is not None]
    return f"line {line['line_number']} · {line['section']} · {period:%Y-%m} · {' · '.join(named)}: {exact(line['charged_cost'], line['currency_code'])}"


def _one(db, query: str, params: list) -> dict | None:
    return next(iter(records(db, query, params)), None)
