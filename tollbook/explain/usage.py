"""Where a cost comes from: the tree from one job, or one team's day, down to telemetry rows and bill rows.

Reads what is published only, so it answers while a night is being built.
"""

from __future__ import annotations

from datetime import date

import duckdb
from rich.markup import escape
from rich.tree import Tree

from tollbook.errors import TollbookError
from tollbook.explain.lines import add_line, amount, bill_lines, limited

#: What of a node is charged: the column that counts it, and its unit.
_UNITS = {
    "gpu": ("gpu_hours", "GPU-h"),
    "cpu": ("cpu_hours", "CPU-h"),
    "memory": ("memory_gb_hours", "GB-h"),
    "disk": ("null::double", ""),
    "node": ("null::double", ""),
}


def job(db: duckdb.DuckDBPyConnection, job_id: str) -> Tree:
    """One job: its attempts (telemetry file and row), what it held where, and the bill lines of those nodes and hours.

    Raises:
        TollbookError: no such job is published.
    """
    facts = db.execute(
        "select source_name, job_name, team, outcome, gpu_hours, cpu_hours, cost, currency_code, cost_reason"
        " from engineering.fct_jobs where job_id = ? order by source_name",
        [job_id],
    ).fetchall()
    if not facts:
        raise TollbookError(f'no job `{job_id}` is published. `tollbook query "select job_id from engineering.fct_jobs"` lists them.')
    root = Tree(f"[bold]job {escape(job_id)}[/]")
    for source, name, team, outcome, gpu_hours, cpu_hours, cost, currency, reason in facts:
        said = amount(cost, currency) if cost is not None else f"cost unknown: {reason}"
        branch = root.add(
            f"{escape(name or '')} · team {escape(team or 'unowned')} · {outcome or 'outcome unknown'} · "
            f"{gpu_hours:.6g} GPU-h, {cpu_hours:.6g} CPU-h · {said}"
        )
        attempts = db.execute(
            "select holding_id, node, started_at, ended_at, outcome, owner_rule_id, file_name, file_row from engineering.dim_holdings"
            " where job_id = ? and source_name = ? order by started_at, node",
            [job_id, source],
        ).fetchall()
        told = branch.add("held (telemetry)")
        for holding, node, start, end, outcome, rule, file, row in attempts:
            told.add(
                f"{escape(holding)} on {escape(node or 'no node')} · {start or 'never started'} to {end or 'now'} · {outcome or '–'} · "
                f"owner by rule {escape(rule or 'none')} · {escape(file)} row {row}"
            )
        shares = db.execute(
            "select node, min(hour_start_at), max(hour_start_at) + interval 1 hour, sum(gpu_hours), sum(allocated_cost), currency_code"
            " from engineering.fct_gpu_hours where job_id = ? and source_name = ? and is_held group by node, currency_code order by node",
            [job_id, source],
        ).fetchall()
        for node, start, end, hours, cost, currency in shares:
            share = branch.add(f"on {escape(node or 'no node')}: {hours:.6g} GPU-h from {start} to {end} · {amount(cost, currency)}")
            bill_lines(db, share, node, start, end)
    return root


def team_day(db: duckdb.DuckDBPyConnection, team: str, day: date) -> Tree:
    """One team's (or bucket's) day: components, then holders, models and bill lines.

    Raises:
        TollbookError: nothing is charged to the team on that day.
    """
    parts = db.execute(
        "select component, basis, sum(charged_cost), currency_code from finance.fct_chargeback_days where team = ? and usage_date = ?"
        " group by component, basis, currency_code order by 3 desc",
        [team, day],
    ).fetchall()
    if not parts:
        raise TollbookError(
            f'nothing is charged to `{team}` on {day}. `tollbook query "select distinct team from finance.fct_chargeback"` lists teams.'
        )
    total = sum(part[2] for part in parts)
    root = Tree(f"[bold]{escape(team)} on {day}: {amount(total, parts[0][3])}[/]")
    for component, basis, cost, currency in parts:
        branch = root.add(f"{escape(component)} ({basis}): {amount(cost, currency)}")
        if component.startswith("shared: "):
            _shared_rows(db, branch, team, day, component, basis)
        elif component.startswith("tokens_"):
            _token_rows(db, branch, team, day, component, currency)
        elif component.split("_")[0] in _UNITS:
            _holders(db, branch, team, day, component, currency)
        else:
            _direct_lines(db, branch, team, day, component)
    return root


def _holders(db, branch: Tree, team: str, day: date, component: str, currency: str) -> None:
    """What the team held of a resource; of a bucket, what nobody held; of a node without evidence, what its owner bears."""
    resource = component.removesuffix("_unknown")
    if component == resource:
        whose = "model is null and case when is_held then coalesce(team, 'unowned') else layer end = ?"
    else:
        whose = (
            "layer = 'unknown' and not is_held and allocated_resource_id in"
            " (select resource_id from finance.fct_charges where coalesce(team, 'unowned') = ?)"
        )
    column, unit = _UNITS[resource]
    rows = db.execute(
        f"select coalesce(job_id, layer), layer_reason, node, sum({column}), sum(allocated_cost), min(hour_start_at),"
        " max(hour_start_at) + interval 1 hour from engineering.fct_gpu_hours"
        f" where usage_date = ? and resource = ? and {whose} group by 1, 2, 3 order by 5 desc nulls last, 1, 2, 3",
        [day, resource, team],
    ).fetchall()
    for holder, reason, node, hours, cost, start, end in limited(branch, rows):
        said = [f"{hours:.6g} {unit}" if hours is not None else "", escape(reason or ""), amount(cost, currency)]
        share = branch.add(f"{escape(holder)} on {escape(node or 'no node')}: {' · '.join(filter(None, said))}")
        bill_lines(db, share, node, start, end)


def _shared_rows(db, branch: Tree, team: str, day: date, component: str, basis: str) -> None:
    """What a rule gave to the team, or took from it: rule, ratio, and who gave or who got it."""
    rows = db.execute(
        "select rule_id, rule_version, step, method, within, coalesce(node, pool, cluster), resource, entry, from_team, share_ratio, pool_cost,"
        " moved_cost, kept_cost, kept_reason, currency_code, billed_by from finance.fct_shared_costs"
        " where team = ? and usage_date = ? and component = ? and basis = ? order by step, abs(moved_cost) desc, rule_id, from_team, entry, billed_by,"
        " pool_cost, resource, cluster, pool, node",
        [team, day, component, basis],
    ).fetchall()
    for rule, version, step, method, within, place, resource, entry, giver, ratio, pool, moved, kept, reason, currency, biller in limited(
        branch, rows
    ):
        by = f"by rule {escape(rule)} (version {version}, step {step}): {method} within {escape(place or within)}"
        what = f"{amount(pool, currency)} of {escape(giver)}{f' ({resource})' if resource else ''}, billed by {escape(biller)}"
        if entry == "received":
            branch.add(f"{ratio:.6%} of {what} · {by} · {amount(moved, currency)}")
        elif entry == "negating":
            branch.add(f"given away of {what} · {by} · {amount(moved, currency)}")
        else:
            branch.add(f"kept of {what} · {by} · {amount(kept, currency)}: {reason}")


def _token_rows(db, branch: Tree, team: str, day: date, component: str, currency: str) -> None:
    column = "vendor_cost" if component == "tokens_vendor" else "serving_cost"
    rows = db.execute(
        f"select model, tenant, feature, request_count, token_count, {column}, basis from product.fct_token_costs"
        f" where team = ? and usage_date = ? and {column} is not null order by {column} desc, 1, 2, 3",
        [team, day],
    ).fetchall()
    for model, tenant, feature, requests, tokens, cost, basis in limited(branch, rows):
        branch.add(
            f"{escape(model or 'no model')} · tenant {escape(tenant or '–')} · {escape(feature or '–')}: {requests:,} requests, "
            f"{tokens:,} tokens · {amount(cost, currency)} ({basis})"
        )


def _direct_lines(db, branch: Tree, team: str, day: date, component: str) -> None:
    """The bill lines charged as they are. What went into a node's hours is charged as what was held of the node, not here."""
    rows = db.execute(_DIRECT, {"team": team, "component": component, "day": day}).fetchall()
    for file, row, description, start, end, cost, currency, hours, of_node in limited(branch, rows):
        part = f" · {of_node} of {hours} hours of the day are charged as parts of the node" if of_node else ""
        add_line(branch, (file, row, description, start, end, cost, currency), part)


# What nobody used of a commitment is charged to the bucket of that name, whoever owns the line.
_DIRECT = """
with node_hours as (
    select distinct allocated_resource_id as resource_id, hour_start_at from engineering.fct_gpu_hours where usage_date = $day
),

lines as (
    select
        *, greatest(date_trunc('hour', charge_period_start), $day::timestamp) as from_at,
        least(greatest(charge_period_end, charge_period_start + interval 1 second), $day::timestamp + interval 1 day) as until_at
    from finance.fct_charges
    where case
            when commitment_discount_status = 'Unused' or capacity_reservation_status = 'Unused' then 'unused_commitment'
            else coalesce(team, 'unowned')
        end = $team
        and coalesce(case when charge_category in ('Usage', 'Purchase') then service_category else charge_category end, 'Other') = $component
        and charge_period_start < $day::date + interval 1 day
        and greatest(charge_period_end, charge_period_start + interval 1 second) > $day
)

select
    lines.file_name, lines.file_row, lines.charge_description, lines.charge_period_start, lines.charge_period_end,
    lines.reporting_effective_cost, lines.currency_code,
    ceil(date_diff('microsecond', lines.from_at, lines.until_at) / 3600000000)::bigint as hours, count(node_hours.hour_start_at) as of_node
from lines
left join node_hours
    on lines.resource_id = node_hours.resource_id and lines.from_at <= node_hours.hour_start_at and node_hours.hour_start_at < lines.until_at
group by all
having of_node < hours
order by abs(any_value(lines.reporting_effective_cost)) desc, lines.file_name, lines.file_row
"""
