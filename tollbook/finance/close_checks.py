"""What must be so before a month is closed: each check a row with what was found, its threshold and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import duckdb

from tollbook.errors import GateError
from tollbook.finance import expected, periods
from tollbook.finance.ledger import BY_HAND, is_posted
from tollbook.quality.gates import Gates
from tollbook.warehouse import publication
from tollbook.workspace import Workspace

#: Checks whose items a person may waive: what they find is missing or open, not wrong in the books.
WAIVABLE = ("deliveries", "invoices", "unowned", "quarantine")
# of a long list the first tell what it is about
_SHOWN = 12


@dataclass(frozen=True)
class Item:
    """One thing that a check found, by the name it is waived by; ``blocks`` the close, or only warns."""

    name: str
    found: str
    blocks: bool = True


@dataclass(frozen=True)
class Check:
    """One row of the close: ``status`` is pass, warn, waived or fail."""

    check_id: str
    status: str
    observed: str
    threshold: str
    advice: str = ""
    items: tuple[Item, ...] = ()


def run(db: duckdb.DuckDBPyConnection, workspace: Workspace, period: date, accrue: bool) -> list[Check]:
    """All checks of ``period`` (first of a month), in the order in which they are worth mending; only reads."""
    gates = Gates.read(workspace.config)
    return [
        _period_over(db, period),
        _earlier_closed(db, period),
        _posted(db, period),
        _deliveries(db, workspace, gates, period),
        _bills_final(db, period),
        _quarantine(db, period),
        _reconciliation(db, period),
        _bridge(db, period),
        _trial_balance(db, period),
        _invoices(db, period),
        _estimates(db, workspace, period, accrue),
        _unowned(db, gates, period),
        _unpriced_usage(db, period),
        _usage_tie_out(db, period),
    ]


def _of_items(check_id: str, items: list[Item], passed: str, threshold: str, advice: str) -> Check:
    """The check that found ``items``, or ``passed`` where there are none."""
    if not items:
        return Check(check_id, "pass", passed, threshold)
    said = "; ".join(f"{item.name}: {item.found}" for item in items[:_SHOWN])
    if len(items) > _SHOWN:
        said += f"; and {len(items) - _SHOWN} more"
    return Check(check_id, "fail" if any(item.blocks for item in items) else "warn", said, threshold, advice, tuple(items))


def _exactly(check_id: str, wrong: list[str], passed: str, threshold: str, advice: str) -> Check:
    """A check of the books: one that is not exact fails, and nobody can waive it."""
    return Check(check_id, "fail", "; ".join(wrong), threshold, advice) if wrong else Check(check_id, "pass", passed, threshold)


def _period_over(db, period: date) -> Check:
    horizon, end = db.execute(
        "select (select horizon_at from meta.build_state), (?::date + interval 1 month)::timestamp", [period]
    ).fetchone()
    reached = f"telemetry and bills reach to {horizon:%Y-%m-%d %H:%M} UTC" if horizon else "nothing is built"
    return _exactly(
        "period_over",
        [] if horizon and horizon >= end else [reached],
        reached,
        f"to {end:%Y-%m-%d}",
        "The month is not over, or its last days are not loaded: `tollbook run` when they are in.",
    )


def _earlier_closed(db, period: date) -> Check:
    wrong = [f"{month:%Y-%m} is open" for month in periods.open_before(db, period)]
    return _exactly("earlier_closed", wrong, "every earlier month with postings is closed", "none open", "Close them first, in order.")


def _posted(db, period: date) -> Check:
    wrong = []
    try:
        publication.audit_in(db)
    except GateError as error:
        wrong.append(str(error))
    if not is_posted(db):
        wrong.append("the newest build is not posted")
    (unbuilt,) = db.execute(
        f"select count(distinct usage_date) from (select usage_date from meta.touched_days where {_in_month('usage_date')}"
        " union all select open_from from meta.touched_open where open_from < $period::date + interval 1 month)",
        {"period": period},
    ).fetchone()
    if unbuilt:
        wrong.append(f"{unbuilt} days have newer loads than the build")
    (postings,) = db.execute("select count(*) from ledger.postings where accounting_period = ?", [period]).fetchone()
    if not postings:
        wrong.append("nothing is posted in this month")
    return _exactly(
        "posted",
        wrong,
        f"audited and posted, {postings:,} postings",
        "the newest build",
        "`tollbook build`, `tollbook check`, `tollbook post`.",
    )


def _deliveries(db, workspace: Workspace, gates: Gates, period: date) -> Check:
    items, sources = expected.missing(db, workspace.sources, gates, period)
    return _of_items(
        "deliveries",
        [Item(*found) for found in items],
        f"{sources} expected sources cover the month",
        "every day of a bill, or its bill is final; no failed delivery",
        "Ask for the delivery and `tollbook run`; or waive what will not come, with an accrual for what it will cost.",
    )


def _bills_final(db, period: date) -> Check:
    rows = db.execute(
        "select billed_by, cost_without_invoice, currency_code from finance.fct_billing_periods"
        " where billing_period = ? and state = 'open' order by all",
        [period],
    ).fetchall()
    items = [Item(who, f"the bill is not final, {cost:,.2f} {currency} stands on no invoice", False) for who, cost, currency in rows]
    advice = "The close need not wait: what the final bill changes is posted in the next open month."
    return _of_items("bills_final", items, "every bill of the month is final", "warns only", advice)


def _quarantine(db, period: date) -> Check:
    rows = db.execute(
        f"""
        with days as (
            select source_name, delivery_id, bool_or({_in_month("usage_date")}) as is_here from meta.delivery_days group by all
        )
        select quarantine.source_name || ':' || quarantine.file_name, count(distinct file_row), string_agg(distinct reason, ', ' order by reason)
        from raw.quarantine left join days using (source_name, delivery_id)
        where coalesce(days.is_here, true)
        group by quarantine.source_name, quarantine.file_name order by 1
        """,
        {"period": period},
    ).fetchall()
    return _of_items(
        "quarantine",
        [Item(name, f"{count:,} {'row' if count == 1 else 'rows'} ({reasons})") for name, count, reasons in rows],
        "no row of the month is in quarantine",
        "0 rows",
        "`tollbook status` says row and reason: mend the file or its mapping and `tollbook run`; or waive it, with an accrual for what it costs.",
    )


def _reconciliation(db, period: date) -> Check:
    wrong, compared = [], 0
    for source, delta, rows, count in db.execute(
        "select source_name, cost_delta, rows_delta, coalesce(rows_compared, 0) from quality.fct_reconciliation where billing_period = ? order by 1",
        [period],
    ).fetchall():
        compared += count
        if delta:
            wrong.append(f"{source}: effective less allocated cost is {delta:f}")
        if rows:
            wrong.append(f"{source}: {rows} delivered rows are neither loaded nor in quarantine")
    (billed,) = db.execute(
        "select count(*) from ledger.postings where billing_period = ? and accounting_period = billing_period and basis = 'billed'",
        [period],
    ).fetchone()
    if billed and not compared:
        wrong.append("the ledger has billed cost, the reconciliation compared no row")
    advice = "A defect, not a matter of data: `tollbook build --full-refresh`, `tollbook check`, `tollbook post`."
    return _exactly("reconciliation", wrong, f"0.00, {compared:,} rows compared", "0", advice)


def _bridge(db, period: date) -> Check:
    rows = db.execute(
        "select billed_by, cost, rows_compared from quality.fct_bridge where billing_period = ? and term = 'remainder' order by 1", [period]
    ).fetchall()
    wrong = [f"{who}: remainder {cost:f}" for who, cost, _ in rows if cost != 0]
    advice = "A defect, not a matter of data: `tollbook build --full-refresh`, `tollbook check`, `tollbook post`."
    return _exactly("bridge", wrong, f"0.00, {sum(count for *_, count in rows):,} rows compared", "remainder 0", advice)


def _trial_balance(db, period: date) -> Check:
    total, month = db.execute(
        "select coalesce(sum(posted_cost), 0), coalesce(sum(posted_cost) filter (where accounting_period = ?), 0) from ledger.postings",
        [period],
    ).fetchone()
    wrong = [f"all postings add up to {total:f}"] if total else []
    wrong += [f"those of the month add up to {month:f}"] if month else []
    wrong += [
        f"account bridge of {who or 'nobody'}, bill of {billing_period:%Y-%m}: {cost:f}"
        for billing_period, who, cost in db.execute(
            "select billing_period, billed_by, sum(posted_cost) from ledger.postings where account = 'bridge' and billing_period in"
            " (select billing_period from ledger.postings where account = 'bridge' and accounting_period = ?)"
            " group by all having sum(posted_cost) <> 0 order by all",
            [period],
        ).fetchall()
    ]
    advice = "The books are not whole: bring the newest backup back (`tollbook restore`) and keep this warehouse.duckdb to look into."
    return _exactly("trial_balance", wrong, "0 in all and in the month; account bridge 0 per bill", "0", advice)


def _invoices(db, period: date) -> Check:
    rows = db.execute(
        "select invoice_id, invoice_issuer_name, status, delta_cost, billing_currency from finance.fct_invoice_tie_out where billing_period = ?"
        # an issuer whose invoices are delivered is expected to deliver each of them
        " and (status in ('differs', 'no_lines') or (status = 'no_invoice' and issuer_invoice_count > 0)) order by all",
        [period],
    ).fetchall()
    (tied,) = db.execute(
        "select count(*) from finance.fct_invoice_tie_out where billing_period = ? and status = 'tied'", [period]
    ).fetchone()
    says = {
        "differs": "{issuer} asks for {delta:,.2f} {currency} more than its lines come to",
        "no_lines": "{issuer} asks for {delta:,.2f} {currency}, and no line names the invoice",
        "no_invoice": "lines name it, and {issuer} has not delivered it",
    }
    items = [
        Item(name or issuer, says[status].format(issuer=issuer, delta=delta or Decimal(0), currency=currency), status != "no_invoice")
        for name, issuer, status, delta, currency in rows
    ]
    return _of_items(
        "invoices",
        items,
        f"{tied} invoices tie out",
        "none differs or has no lines",
        "Ask the issuer, or for the missing lines and `tollbook run`; or waive it, with an accrual of the difference.",
    )


def _estimates(db, workspace: Workspace, period: date, accrue: bool) -> Check:
    rows = db.execute(
        "select date_trunc('month', usage_date)::date as month, billed_by, sum(posted_cost) filter (where bucket is not null) as cost,"
        " -coalesce(sum(posted_cost) filter (where account = 'accrual'), 0) as accrued from ledger.postings"
        # a markup on an estimate is no cost that a bill is waited for
        f" where basis = 'estimated' and account <> 'margin' and component is distinct from 'markup' and reason not in {BY_HAND} and usage_date < ?::date + interval 1 month"
        " group by all having cost <> 0 or accrued <> 0 order by all",
        [period],
    ).fetchall()
    if not rows:
        return Check("estimates", "pass", "no estimate left", "no estimate, or accrued")
    said = "; ".join(f"{who or 'nobody'} {month:%Y-%m}: {cost or 0:,.2f} {workspace.currency}" for month, who, cost, _ in rows)
    total = sum((cost or Decimal(0) for *_, cost, _ in rows), Decimal(0))
    if accrue and all(cost == accrued for *_, cost, accrued in rows):
        observed = f"accrued {total:,.2f} {workspace.currency} in account accrual ({said})"
        return Check("estimates", "pass", observed, "no estimate, or accrued", "The bills replace it, in the next open month.")
    advice = "Wait for the bills; or --accrue: the month is closed on the estimates, which stand in account accrual until the bills come."
    return Check("estimates", "fail", f"estimated, not billed yet: {said}", "no estimate, or accrued", advice)


def _unowned(db, gates: Gates, period: date) -> Check:
    unowned, charged = db.execute(
        "select coalesce(sum(posted_cost) filter (where bucket in ('unowned', 'unknown')), 0), coalesce(sum(posted_cost), 0) from ledger.postings"
        " where accounting_period = ? and bucket is not null",
        [period],
    ).fetchone()
    # where refunds leave nothing charged, any unowned cost is all of it
    share = unowned / charged if charged > 0 else Decimal(unowned != 0)
    observed = f"{share:.2%} of what is charged ({unowned:,.2f} of {charged:,.2f})"
    gate = gates.close.unowned_ratio
    over = {
        name: limit is not None and share > Decimal(repr(limit)) for name, limit in (("error", gate.error_above), ("warn", gate.warn_above))
    }
    threshold = f"at most {_percent(gate.error_above)}" if gate.error_above is not None else "no limit"
    if not any(over.values()):
        return Check("unowned", "pass", observed, threshold)
    return _of_items(
        "unowned",
        [Item("share", observed, over["error"])],
        observed,
        threshold,
        "Give it owners in config/owners.csv and `tollbook run --restate-from` the first day; or waive it. The limit: close.unowned_ratio in gates.yml.",
    )


def _percent(ratio: float) -> str:
    """With every digit: 0.1 is 10%, 0.001 is 0.1%."""
    said = f"{Decimal(repr(ratio)).scaleb(2):f}"
    return (said.rstrip("0").rstrip(".") if "." in said else said) + "%"


def _unpriced_usage(db, period: date) -> Check:
    rows = db.execute(
        "select coalesce(model, 'unknown model'), price_kind, sum(quantity) from quality.fct_unpriced_usage"
        f" where {_in_month('usage_date')} group by all order by all",
        {"period": period},
    ).fetchall()
    items = [Item(f"{model}, {kind}", f"{quantity:,}", False) for model, kind, quantity in rows]
    return _of_items(
        "unpriced_usage",
        items,
        "all usage has a price",
        "warns only",
        "Without a price there is no estimate of what it cost: config/prices.csv.",
    )


def _usage_tie_out(db, period: date) -> Check:
    rows = db.execute(
        "select provider_name, count(*), sum(unmatched_cost), any_value(currency_code) from quality.fct_usage_tie_out"
        f" where state in ('differs', 'only_here', 'only_there') and {_in_month('usage_date')} group by all order by all",
        {"period": period},
    ).fetchall()
    items = [
        Item(who or "unknown provider", f"{count} differences" + ("" if cost is None else f", {cost:,.2f} {currency}"), False)
        for who, count, cost, currency in rows
    ]
    advice = "The log and the vendor's count do not agree: quality.fct_usage_tie_out says where."
    return _of_items("usage_tie_out", items, "the log and the vendors' counts agree", "warns only", advice)


def _in_month(day: str) -> str:
    return f"{day} >= $period::date and {day} < $period::date + interval 1 month"


def waive(checks: list[Check], waived: dict[tuple[str, str], str]) -> Iterator[Check]:
    """The checks where ``waived`` (by check and item: the reason) counts: one whose blocking items are all waived no longer fails."""
    for check in checks:
        found = [item for item in check.items if (check.check_id, item.name) in waived]
        if check.status != "fail" or not found:
            yield check
            continue
        left = [item for item in check.items if item.blocks and item not in found]
        said = "waived: " + "; ".join(f"{item.name} ({waived[check.check_id, item.name]})" for item in found)
        if left:
            yield replace(check, advice=f"{check.advice} Left: {', '.join(item.name for item in left)}. {said}")
        else:
            yield replace(check, status="waived", advice=said)
