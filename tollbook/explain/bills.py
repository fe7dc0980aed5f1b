"""Who pays for an invoice or a bill row: upwards by the keys that postings carry of the bill (source, who billed it, billing period, day).

Reads what is published only. Amounts are never shared out anew: where keys lead to the bill only, its payers are shown, and that is said.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import duckdb
from rich.markup import escape
from rich.tree import Tree

from tollbook.errors import TollbookError
from tollbook.explain.evidence import EXACT_DIGITS, bill_row, delivery
from tollbook.explain.evidence_sql import CHARGES
from tollbook.explain.ledger import RECIPIENT
from tollbook.explain.lines import exact, limited, remainder
from tollbook.finance.ledger import BY_HAND
from tollbook.warehouse.records import records

_BILL = "source_name = $source_name and billed_by = $billed_by and billing_period = $billing_period"
#: What of a bill is charged as an amount of the bill; accruals and markup are no part of it.
_CHARGED = f"bucket is not null and basis = 'billed' and reason not in {(*BY_HAND, 'markup')}"
#: What went into a node's hours is charged as what was held of the node.
_NOT_OF_NODES = (
    "(resource_id is null or resource_id not in (select allocated_resource_id from engineering.fct_gpu_hours where allocated_cost <> 0))"
)
#: What one owner's rows of one kind are told apart by, on the bill and in the ledger.
_DIRECT = ("service_name", "rule", "project")
_OF_INVOICE = "invoice_id = $invoice_id and billing_currency = $billing_currency and $invoice_issuer_name in (coalesce(invoice_issuer_name, billed_by), billed_by)"


def invoice(db: duckdb.DuckDBPyConnection, invoice_id: str, issuer: str | None = None) -> Tree:
    """An invoice: its bill rows, what of it is charged and when it accrues, what the ledger owes for it, and who pays. ``db``: the published marts.

    Raises:
        TollbookError: no such invoice is published, or several issuers have one of that number.
    """
    with localcontext(prec=EXACT_DIGITS):
        _prepare(db)
        parts = records(
            db,
            "from finance.fct_invoice_tie_out where invoice_id = $id and ($issuer::varchar is null or invoice_issuer_name = $issuer)"
            " order by invoice_issuer_name, billing_currency, billing_period",
            {"id": invoice_id, "issuer": issuer},
        )
        if not parts:
            raise TollbookError(
                f"no invoice `{invoice_id}`{f' of `{issuer}`' if issuer else ''} is published."
                ' `tollbook query "select invoice_issuer_name, invoice_id from finance.fct_invoice_tie_out"` lists them.'
            )
        issuers = sorted({part["invoice_issuer_name"] for part in parts})
        if len(issuers) > 1:
            raise TollbookError(f"several issuers have an invoice `{invoice_id}`: {', '.join(issuers)}. Say which with --issuer.")
        root = Tree(f"[bold]invoice {escape(invoice_id)} of {escape(issuers[0])}[/]")
        for part in parts:
            where = _OF_INVOICE
            keys = {name: part[name] for name in ("invoice_id", "invoice_issuer_name", "billing_currency")}
            if sum(other["billing_currency"] == part["billing_currency"] for other in parts) > 1:
                where, keys["part"] = f"{where} and billing_period = $part", part["billing_period"]
            db.execute(f"create or replace temp table invoice_rows as select * from bill_rows where {where}", keys)
            _part(db, root, part)
        return root


def bill_line(db: duckdb.DuckDBPyConnection, file: str, file_row: int, source: str | None = None, invoice_id: str | None = None) -> Tree:
    """One bill row: its delivery, owner and rule, the days that it accrues to, and who pays. ``db``: the published marts.

    Raises:
        TollbookError: no such row is published.
    """
    with localcontext(prec=EXACT_DIGITS):
        _prepare(db)
        rows = records(
            db,
            "select *, reporting_effective_cost as cost from bill_rows where file_name = $file and file_row = $row"
            " and ($source::varchar is null or source_name = $source) and ($invoice::varchar is null or invoice_id = $invoice) order by all",
            {"file": file, "row": file_row, "source": source, "invoice": invoice_id},
        )
        if not rows:
            raise TollbookError(
                f"no bill row {file_row} of `{file}`{f' on invoice {invoice_id}' if invoice_id else ''} is published: give the file as"
                " finance.fct_charges names it (file_name, file_row)."
            )
        root = Tree(f"[bold]bill row {escape(file)} row {file_row}[/]")
        for row in rows:
            currency = row["currency_code"]
            branch = root.add(bill_row(row, currency))
            branch.add(
                f"billed {exact(row['billed_cost'], row['billing_currency'])} by {escape(row['billed_by'])} for {row['billing_period']:%Y-%m},"
                f" invoice {escape(row['invoice_id'] or 'none yet')}; charged {exact(row['cost'], currency)}"
            )
            for one in db.execute(
                "select file_names, delivered_at, loaded_at, delivery_id, rows_loaded from quality.fct_deliveries where delivery_id = ? and source_name = ?",
                [row["delivery_id"], row["source_name"]],
            ).fetchall():
                branch.add(f"delivered: {delivery(one)}")
            owner = (
                f"owner {escape(row['team'])} by {escape(row['rule'] or 'no rule')}" if row["team"] else "owned by nobody: no rule matched"
            )
            branch.add(
                f"{owner} · {escape(row['category'])} · {escape(row['service_name'] or '–')} · {escape(row['resource_id'] or 'no resource')}"
            )
            _payers_of_row(db, branch, row)
        return root


def _prepare(db) -> None:
    db.execute("create or replace temp view kept_charges as from finance.fct_charges")
    db.execute(f"create or replace temp view bill_rows as {CHARGES}")
    # the first statement that a posting stands on
    db.execute(
        "create or replace temp view stated_postings as"
        f" select postings.*, {RECIPIENT} as recipient,"
        " (select min_by(statements.statement_id, statements.known_at) from"
        " (select statement_id, recipient_kind, recipient, accounting_period, known_at from finance.fct_statements) as statements"
        f" where statements.recipient_kind <> 'tenant' and statements.recipient = {RECIPIENT} and statements.accounting_period = postings.accounting_period"
        " and (statements.recipient_kind = 'bucket') = (bucket <> 'allocated') and statements.known_at >= postings.recorded_at) as statement_id"
        f" from finance.fct_postings as postings where {_CHARGED}"
    )


def _part(db, root: Tree, part: dict) -> None:
    billed_in = part["billing_currency"]
    stated = part["invoiced_cost"] if part["invoiced_cost"] is not None else part["lines_cost"]
    branch = root.add(f"{part['billing_period']:%Y-%m} · {part['status']}: {exact(stated, billed_in)}")
    rows = records(db, "select *, billed_cost as cost from invoice_rows order by abs(billed_cost) desc, file_name, file_row")
    told = branch.add(f"bill rows ({len(rows):,}): {exact(sum((row['cost'] for row in rows), Decimal(0)), billed_in)}")
    for row in limited(told, rows, lambda row: row["cost"], billed_in):
        told.add(bill_row(row, billed_in))
    for name, what in (("rounding_cost", "rounded by the invoice"), ("delta_cost", "on the invoice, on no bill row")):
        if part[name]:
            branch.add(f"{what}: {exact(part[name], billed_in)}")
    if not rows:
        return
    billed, effective, currency = db.execute(
        "select sum(reporting_billed_cost), sum(reporting_effective_cost), any_value(currency_code) from invoice_rows"
    ).fetchone()
    charged = root.add(f"charged: {exact(effective, currency)}")
    charged.add(f"billed: {exact(billed, currency)}")
    if effective != billed:
        charged.add(f"used of what was bought before, less what is bought for later: {exact(effective - billed, currency)}")
    _owed(db, root, part, billed, currency)
    _accrued(db, root, effective, currency)
    for bill in records(db, _BILLS):
        _payers_of_bill(db, root, bill, currency)


_BILLS = """
select
    rows.source_name, rows.billed_by, rows.billing_period, count(*) as row_count, sum(rows.reporting_effective_cost) as cost,
    any_value(bills.row_count) as bill_row_count, any_value(bills.cost) as bill_cost
from invoice_rows as rows
inner join (
    select source_name, billed_by, billing_period, count(*) as row_count, sum(reporting_effective_cost) as cost from bill_rows group by all
) as bills on rows.source_name = bills.source_name and rows.billed_by = bills.billed_by and rows.billing_period = bills.billing_period
group by rows.source_name, rows.billed_by, rows.billing_period order by 1, 2, 3
"""


def _owed(db, root: Tree, part: dict, billed: Decimal, currency: str) -> None:
    rows = db.execute(
        "select accounting_period, run_id, recorded_at, reason, count(*), -sum(posted_cost) from finance.fct_postings where account = 'clearing'"
        " and invoice_id = $id and (source_name, billed_by, billing_period) in (select source_name, billed_by, billing_period from invoice_rows)"
        " group by all order by recorded_at, reason",
        {"id": part["invoice_id"]},
    ).fetchall()
    owed = root.add(f"owed for it in the ledger (account clearing): {exact(billed, currency)}")
    for period, run, moment, reason, count, posted in limited(owed, rows, lambda row: row[-1], currency):
        owed.add(f"in {period:%Y-%m} by run {run}, recorded {moment} · {reason} · {count:,} postings: {exact(posted, currency)}")
    remainder(owed, billed - sum(row[-1] for row in rows), currency, "not posted yet, or digits past the 12th")


def _accrued(db, root: Tree, effective: Decimal, currency: str) -> None:
    rows = db.execute(
        "select charge_period_start::date, greatest(charge_period_end, charge_period_start), count(*), sum(reporting_effective_cost)"
        " from invoice_rows group by all having sum(reporting_effective_cost) <> 0 order by abs(sum(reporting_effective_cost)) desc, 1, 2"
    ).fetchall()
    told = root.add(f"accrues: {exact(effective, currency)}")
    for start, end, count, cost in limited(told, rows, lambda row: row[-1], currency):
        told.add(f"from {start} until {end:%Y-%m-%d} · {count:,} rows: {exact(cost, currency)}")


def _payers_of_bill(db, root: Tree, bill: dict, currency: str) -> None:
    """Who pays for a bill of which an invoice has all rows, or some."""
    keys = {name: bill[name] for name in ("source_name", "billed_by", "billing_period")}
    name = f"bill {escape(bill['source_name'])}, {escape(bill['billed_by'])}, {bill['billing_period']:%Y-%m}"
    db.execute(f"create or replace temp table bill_postings as select * from stated_postings where {_BILL}", keys)
    if bill["row_count"] == bill["bill_row_count"]:
        told = root.add(f"who pays, all {bill['row_count']:,} rows of {name}: {exact(bill['cost'], currency)}")
        _payers(db, told, "bill_postings", bill["bill_cost"], currency)
        return
    db.execute(_AS_THEY_ARE, keys)
    direct, of_bill = db.execute("select coalesce(sum(part_cost), 0), coalesce(sum(cost), 0) from as_they_are").fetchone()
    told = root.add(f"who pays, {bill['row_count']:,} of {bill['bill_row_count']:,} rows of {name}: {exact(bill['cost'], currency)}")
    part = told.add(f"charged as they are: {exact(direct, currency)}")
    rows = db.execute(
        "select payer, category, sum(part_cost) from as_they_are group by all having sum(part_cost) <> 0 order by abs(sum(part_cost)) desc, 1, 2"
    ).fetchall()
    for payer, category, cost in limited(part, rows, lambda row: row[-1], currency):
        part.add(f"{escape(payer)} · {escape(category)}: {exact(cost, currency)}")
    rest, of_rest = bill["cost"] - direct, bill["bill_cost"] - of_bill
    if not rest:
        return
    db.execute(_SHARED_OUT)
    shared = told.add(f"shared before it is charged: {exact(rest, currency)}")
    among = shared.add(
        f"keys lead from here to the bill only, this is {rest / of_rest:.6%} of the rest of it; who pays that: {exact(of_rest, currency)}"
        if of_rest
        else "keys lead from here to the bill only; who pays the rest of it: 0.00"
    )
    _payers(db, among, "shared_out", of_rest, currency)


_SAME = " and ".join(f"rows.{name} is not distinct from posted.{name}" for name in _DIRECT)
# rows whose sum by owner, kind and rule is what is posted so: each is charged as it is
_AS_THEY_ARE = f"""
create or replace temp table as_they_are as
with rows as (
    select
        payer, case when model is not null and charge_category = 'Usage' then 'tokens_vendor' else category end as category, {", ".join(_DIRECT)},
        sum(reporting_effective_cost::decimal(38, 12)) as cost,
        coalesce(sum(reporting_effective_cost::decimal(38, 12)) filter (
            (file_name, file_row, charge_category) in (select file_name, file_row, charge_category from invoice_rows)
        ), 0) as part_cost
    from bill_rows where {_BILL} and {_NOT_OF_NODES} group by all
),

posted as (select team, component, {", ".join(_DIRECT)}, sum(posted_cost) as cost from bill_postings group by all)

select rows.* from rows inner join posted
    on rows.payer = posted.team and rows.category = posted.component and {_SAME} and rows.cost = posted.cost
"""
_SHARED_OUT = f"""
create or replace temp table shared_out as
select posted.* from bill_postings as posted anti join as_they_are as rows
    on rows.payer = posted.team and rows.category = posted.component and {_SAME}
"""


def _payers(db, branch: Tree, postings: str, cost: Decimal, currency: str) -> None:
    """Who bears postings, by what and on which statement; what they come to is ``cost``."""
    rows = db.execute(
        f"select recipient, team, bucket, sum(posted_cost) from {postings} group by all having sum(posted_cost) <> 0"
        " order by abs(sum(posted_cost)) desc, 1, 2"
    ).fetchall()
    for recipient, team, bucket, paid in limited(branch, rows, lambda row: row[-1], currency):
        who = f"{escape(recipient)} · {escape(team)}" if bucket == "allocated" else f"{escape(bucket)} (nobody pays)"
        told = branch.add(f"{who}, {paid / cost if cost else 0:.4%}: {exact(paid, currency)}")
        parts = db.execute(
            "select accounting_period, statement_id, accounting_period in (select accounting_period from finance.dim_accounting_periods"
            " where is_opening and status = 'closed') as is_opening, component, reason, sum(posted_cost)"
            f" from {postings} where recipient = ? and team is not distinct from ? and bucket = ?"
            " group by all having sum(posted_cost) <> 0 order by abs(sum(posted_cost)) desc, 1, 2, 4, 5",
            [recipient, team, bucket],
        ).fetchall()
        for period, statement, is_opening, component, reason, one in limited(told, parts, lambda row: row[-1], currency):
            why = "settled before the ledger began" if is_opening else "not stated yet"
            on = f"statement {escape(statement)}" if statement else f"in {period:%Y-%m}, {why}"
            told.add(f"{on} · {escape(component)} · {reason}: {exact(one, currency)}")
    remainder(branch, cost - sum(row[-1] for row in rows), currency, "not posted yet, or digits past the 12th")


def _payers_of_row(db, branch: Tree, row: dict) -> None:
    """Who pays for a row, or for the rows that it is charged together with."""
    currency = row["currency_code"]
    keys = {
        name: row[name] for name in ("source_name", "billed_by", "billing_period", "resource_id", "model", "payer", "category", *_DIRECT)
    }
    of_node = (
        row["resource_id"] is not None
        and db.execute(
            "select count(*) from engineering.fct_gpu_hours where allocated_resource_id = $resource_id and allocated_cost <> 0"
            " and hour_start_at >= date_trunc('hour', $start) and hour_start_at < greatest($end, $start + interval 1 second)",
            {"resource_id": row["resource_id"], "start": row["charge_period_start"], "end": row["charge_period_end"]},
        ).fetchone()[0]
    )
    if of_node:
        where, how = "resource_id = $resource_id", f"the hours of {escape(row['resource_id'])}"
    elif row["model"] is not None and row["charge_category"] == "Usage":
        where, how = f"{_BILL} and model = $model", f"usage of {escape(row['model'])}"
    else:
        same = " and ".join(f"{name} is not distinct from ${name}" for name in ("payer", "category", *_DIRECT))
        where = f"{_BILL} and {same} and {_NOT_OF_NODES}"
        how = f"{escape(row['category'])} of {escape(row['payer'])}"
    keys = {name: value for name, value in keys.items() if f"${name}" in where}
    start, end, count, cost = _together(db, where, keys, row)
    share = f"this row is {row['cost'] / cost:.6%} of it" if cost else "it is 0 in sum"
    told = branch.add(
        f"who pays {how} from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, rows: {count:,}, {share}: {exact(cost, currency)}"
    )
    span = {"start": start, "end": end}
    bill = {name: row[name] for name in ("source_name", "billed_by", "billing_period")}
    days = "usage_date >= $start::date and usage_date < greatest($end, $start + interval 1 second)"
    if of_node:
        _payers_of_hours(db, told, row, span, cost)
    else:
        kind = "starts_with(component, 'tokens_') and model = $model"
        if "model" not in keys:
            kind = "team = $payer and component = $category and " + " and ".join(f"{name} is not distinct from ${name}" for name in _DIRECT)
        db.execute(
            f"create or replace temp table row_postings as select * from stated_postings where {_BILL} and {days} and {kind}",
            keys | bill | span,
        )
        _payers(db, told, "row_postings", cost, currency)
    payers = [row["payer"]] if not of_node else None
    rows = db.execute(
        f"select from_team, rule_id, rule_version, team, sum(moved_cost) from finance.fct_shared_costs where {_BILL} and {days}"
        " and entry = 'received' and ($payers::varchar[] is null or list_contains($payers, from_team))"
        " and ($resource_id::varchar is null or node in (select node from engineering.dim_capacity where resource_id = $resource_id))"
        " group by all having sum(moved_cost) <> 0 order by abs(sum(moved_cost)) desc, 1, 2, 4",
        bill | span | {"payers": payers, "resource_id": row["resource_id"] if of_node else None},
    ).fetchall()
    if rows:
        passed = branch.add(
            f"of it and what stands beside it on the bill, rules passed on: {exact(sum(one[-1] for one in rows), currency)}"
        )
        for giver, rule, version, team, moved in limited(passed, rows, lambda one: one[-1], currency):
            passed.add(f"{escape(giver)} to {escape(team)} by cost_sharing/{escape(rule)}@{version}: {exact(moved, currency)}")


def _together(db, where: str, keys: dict, row: dict) -> tuple:
    """The span, count and cost of the rows of a condition that overlap with a row, or with those that do."""
    start, end = row["charge_period_start"], max(row["charge_period_end"], row["charge_period_start"])
    while True:
        found = db.execute(
            "select min(charge_period_start), max(greatest(charge_period_end, charge_period_start)), count(*), sum(reporting_effective_cost)"
            f" from bill_rows where {where} and charge_period_start < greatest($end, $start + interval 1 second)"
            " and greatest(charge_period_end, charge_period_start + interval 1 second) > $start",
            keys | {"start": start, "end": end},
        ).fetchone()
        if found[:2] == (start, end):
            return found
        start, end = found[:2]


def _payers_of_hours(db, branch: Tree, row: dict, span: dict, cost: Decimal) -> None:
    """Who held a resource's hours, or in which layer they were; what a model's server held goes on to the model's consumers."""
    currency = row["currency_code"]
    rows = records(
        db,
        "select case when is_held then coalesce(team, 'unowned') when layer = 'unknown' then $owner else layer end as payer,"
        " case when is_held then model end as model, case when is_held then coalesce(job_id, holding_id) else layer end as holder,"
        " sum(allocated_cost) as cost from engineering.fct_gpu_hours where allocated_resource_id = $resource_id"
        " and hour_start_at >= date_trunc('hour', $start) and hour_start_at < $end"
        " group by 1, 2, 3 having sum(allocated_cost) <> 0 order by abs(sum(allocated_cost)) desc, 1, 2, 3",
        span | {"resource_id": row["resource_id"], "owner": row["payer"]},
    )
    for one in limited(branch, rows, lambda one: one["cost"], currency):
        told = branch.add(f"{escape(one['payer'])} · {escape(one['holder'])}: {exact(one['cost'], currency)}")
        if one["model"] is not None:
            db.execute(
                f"create or replace temp table row_postings as select * from stated_postings where {_BILL} and component = 'tokens_self_hosted'"
                " and model = $model and usage_date >= $start::date and usage_date < $end",
                span | {name: row[name] for name in ("source_name", "billed_by", "billing_period")} | {"model": one["model"]},
            )
            (total,) = db.execute("select coalesce(sum(posted_cost), 0) from row_postings").fetchone()
            goes = told.add(f"goes to who asked {escape(one['model'])}; all its servers on the bill: {exact(total, currency)}")
            _payers(db, goes, "row_postings", total, currency)
    remainder(branch, cost - sum(one["cost"] for one in rows), currency, "of hours without a listed node, or digits past the 12th")
