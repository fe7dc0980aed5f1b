"""Where the cost of requests comes from: the tree from one request, one tenant's day or one model's day, down to bill rows, servers and rules."""

from __future__ import annotations

from datetime import date

import duckdb
from rich.markup import escape
from rich.tree import Tree

from tollbook.errors import TollbookError
from tollbook.explain.lines import amount, bill_lines, limited, model_lines

#: Prices are kept in 10^-18 of the currency per token: so many of them are one per million.
_PER_MILLION = 10**12


def request(db: duckdb.DuckDBPyConnection, request_id: str) -> Tree:
    """One request: its tries, each with what it cost, at which prices, and what the cost is a share of. ``db``: the warehouse itself, requests
    are not published.

    Raises:
        TollbookError: no request has the id or the idempotency key.
    """
    days = db.execute(
        "select distinct usage_date from intermediate.int_requests where request_id = $1 or request_key = $1 order by 1", [request_id]
    ).fetchall()
    if not days:
        raise TollbookError(f"no request `{request_id}` is loaded, neither as request_id nor as idempotency key.")
    root = Tree(f"[bold]request {escape(request_id)}[/]")
    for (day,) in days:
        tries = db.execute(
            "select request_id, try_number, source_name, provider, model, model_version, tenant, feature, team, input_tokens, cached_input_tokens,"
            " output_tokens, is_success, requested_at, vendor_cost, serving_cost, supporting_cost, training_cost, full_cost, currency_code,"
            " file_name, file_row, token_row, service_tier from product.fct_requests"
            " where usage_date = $2 and request_key in (select request_key from intermediate.int_requests"
            " where usage_date = $2 and (request_id = $1 or request_key = $1)) order by try_number, source_name",
            [request_id, day],
        ).fetchall()
        for one in tries:
            (rid, number, source, provider, model, version, tenant, feature, team, read, cached, written, success, moment, *costs) = one
            vendor, serving, supporting, training, full, currency, file, row, token_row, tier = costs
            branch = root.add(
                f"try {number}: {escape(rid or '–')} at {moment} · {'succeeded' if success else 'failed'} · {escape(model or 'no model')}"
                f"{escape('@' + version) if version else ''} · team {escape(team or '–')} · tenant {escape(tenant or '–')} · "
                f"{escape(feature or '–')} · {amount(full, currency)} · {escape(source)}: {escape(file or '')} row {row}"
            )
            branch.add(f"tokens: {read or 0:,} read ({cached or 0:,} of them from a cache), {written or 0:,} written")
            _prices(db, branch, day, provider, model, tier, currency)
            for name, cost in (("vendor", vendor), ("serving", serving), ("supporting", supporting), ("training", training)):
                if cost is not None:
                    _shared_with(db, branch.add(f"{name}: {amount(cost, currency)}"), day, token_row, name, currency)
    return root


def _prices(db, branch: Tree, day: date, provider: str | None, model: str | None, tier: str | None, currency: str) -> None:
    rows = db.execute(
        "from intermediate.int_token_prices where usage_date = ? and provider is not distinct from ? and model = ?"
        " and service_tier is not distinct from ? order by all",
        [day, provider, model, tier],
    )
    names = [column[0] for column in rows.description]
    for row in limited(branch, rows.fetchall()):
        told = dict(zip(names, row, strict=True))
        said = ", ".join(
            f"{name.removesuffix('_price')} {price / _PER_MILLION:.6g}"
            for name, price in told.items()
            if name.endswith("_price") and price is not None
        )
        length = f", prompts from {told['priced_quantity_from']:,} tokens" if told["priced_quantity_from"] else ""
        if said:
            branch.add(f"price book, {currency} per million{length}: {said}")


def _shared_with(db, branch: Tree, day: date, token_row: int, kind: str, currency: str) -> None:
    """What the request's cost is a share of: the cost of requests alike, by component and bill."""
    if kind == "training":
        rows = db.execute(
            "select shared.rule_id, assets.capitalised_cost, assets.amortise_by, assets.life, shared.allocated_cost"
            " from intermediate.int_training__shared as shared inner join product.fct_model_assets as assets using (rule_id)"
            " where shared.usage_date = ? and shared.token_row = ? order by 1",
            [day, token_row],
        ).fetchall()
        for rule, capitalised, by, life, cost in rows:
            told = branch.add(
                f"of {amount(cost, currency)} that requests alike bear · rule {escape(rule)}: {amount(capitalised, currency)} over {life:,} {by}"
            )
            _training_jobs(db, told, rule, currency)
        return
    which = {"vendor": "component = 'vendor'", "serving": "component like 'serving%'"}.get(
        kind, "component <> 'vendor' and component not like 'serving%'"
    )
    rows = db.execute(
        "select component, billed_by, split_method, basis, cost, (select model from intermediate.int_token_days__priced as tokens"
        " where tokens.usage_date = costs.usage_date and tokens.token_row = costs.token_row) from intermediate.int_request_costs as costs"
        f" where usage_date = ? and token_row = ? and {which} order by cost desc, component",
        [day, token_row],
    ).fetchall()
    for component, biller, method, basis, cost, model in limited(branch, rows):
        told = branch.add(
            f"of {amount(cost, currency)} that requests alike bear · {component}, billed by {escape(biller or '–')}, by {method} ({basis})"
        )
        _behind(db, told, day, model, component, currency)


def _behind(db, branch: Tree, day: date, model: str | None, component: str, currency: str) -> None:
    """Bill lines of a vendor's model, or the servers of an own one with the bills of their nodes."""
    if component == "vendor":
        model_lines(db, branch, model, day)
    elif component.startswith("serving"):
        rows = db.execute(
            "select holding_id, node, sum(gpu_hours), sum(allocated_cost), min(hour_start_at), max(hour_start_at) + interval 1 hour"
            " from engineering.fct_gpu_hours where usage_date = ? and model = ? and is_held group by 1, 2 order by 4 desc, 1, 2",
            [day, model],
        ).fetchall()
        for holding, node, hours, cost, start, end in limited(branch, rows):
            share = branch.add(f"{escape(holding)} on {escape(node or 'no node')}: {hours or 0:.6g} GPU-h · {amount(cost, currency)}")
            bill_lines(db, share, node, start, end)


def _training_jobs(db, branch: Tree, rule: str, currency: str) -> None:
    rows = db.execute(
        "select usage_date, job_count, cost from intermediate.int_training_run_days where rule_id = ? order by usage_date", [rule]
    ).fetchall()
    for day, jobs, cost in limited(branch, rows):
        branch.add(f"{day}: {jobs:,} jobs held {amount(cost, currency)}")


def tenant_day(db: duckdb.DuckDBPyConnection, tenant: str, day: date) -> Tree:
    """One tenant's day: components by model, then the bill lines or servers behind each.

    Raises:
        TollbookError: nothing was asked for the tenant on that day.
    """
    return _components(db, "tenant", tenant, day, "model")


def token_day(db: duckdb.DuckDBPyConnection, model: str, day: date) -> Tree:
    """One model's day: components by tenant, then the bill lines or servers behind each.

    Raises:
        TollbookError: nothing was asked of the model on that day.
    """
    return _components(db, "model", model, day, "tenant")


def _components(db, dimension: str, value: str, day: date, by: str) -> Tree:
    totals = db.execute(
        "select sum(request_count), sum(token_count), sum(full_cost), any_value(currency_code), string_agg(distinct cost_reason, '; ')"
        f" from product.fct_token_costs where {dimension} = ? and usage_date = ? having count(*) > 0",
        [value, day],
    ).fetchone()
    if totals is None:
        raise TollbookError(
            f'no request of {dimension} `{value}` on {day} is published. `tollbook query "select distinct {dimension} from product.fct_token_costs"`'
            " lists them."
        )
    requests, tokens, cost, currency, reason = totals
    root = Tree(f"[bold]{dimension} {escape(value)} on {day}: {amount(cost, currency)}[/] · {requests:,} requests, {tokens:,} tokens")
    if reason:
        root.add(f"not all of it is known: {reason}")
    rows = db.execute(
        f"select component, model, billed_by, split_method, basis, sum(cost), string_agg(distinct {by}, ', ' order by {by})"
        f" from product.fct_request_components where {dimension} = ? and usage_date = ? group by 1, 2, 3, 4, 5 order by 6 desc, 1, 2, 3",
        [value, day],
    ).fetchall()
    for component, model, biller, method, basis, cost, who in limited(root, rows):
        branch = root.add(
            f"{escape(component)} · {escape(model or 'no model')} · billed by {escape(biller or '–')}: {amount(cost, currency)} ({basis}), by {method}"
            + (f" · {by}s: {escape(who)}" if who and by == "tenant" else "")
        )
        _behind(db, branch, day, model, component, currency)
    return root
