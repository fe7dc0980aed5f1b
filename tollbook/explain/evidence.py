"""What explains charges, kept of a closed month or as the models say now: allocated costs, what was held, shared costs, bill rows, deliveries."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
from rich.markup import escape
from rich.tree import Tree

from tollbook.explain.evidence_sql import (
    CHARGES,
    DELIVERIES,
    GIVEN,
    HELD,
    HELD_POSTINGS,
    LIVE,
    NODE_ROWS,
    OF_NODE,
    OVERLAP,
    POSTED_KEYS,
    SERVERS,
)
from tollbook.explain.lines import exact, limited, remainder
from tollbook.finance import freeze, periods
from tollbook.finance.ledger import BY_HAND
from tollbook.sources.typing import text
from tollbook.warehouse.records import records

#: Digits that sums of amounts may have: more than decimal(38, 20) holds.
EXACT_DIGITS = 76
_GROUP = (
    "source_name, billed_by, billing_period, basis, team, cost_centre, bucket, component, cluster, pool, node, service_name, gpu_model, model,"
    " project, tenant, rule"
)
_SHARED_GROUP = (
    "source_name, billed_by, billing_period, step, rule_id, rule_version, method, within, cluster, pool, node, resource, entry, from_bucket,"
    " from_team, team"
)


class Evidence:
    """What stands behind the postings in the temporary table ``line_postings`` of a connection to the warehouse.

    Of an accounting period that was closed after ``moment`` it is what was kept then, else what the models say now.

    Raises:
        TollbookError: what is kept of the month was changed, or is gone.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, currency: str, closed: Path, period: date, moment: datetime):
        self.db, self.currency = db, currency
        self.as_of, self.said, folder = datetime.max, "as the models say now", None
        kept = periods.kept_after(db, period, moment)
        if kept:
            self.as_of, folder = kept[0], closed / kept[1]
            freeze.manifest_of(folder, kept[2])
            self.said = f"as kept in {closed.name}/{folder.name}"
        for name, (live, kept) in LIVE.items():
            query = f"select * from {live}"
            if folder is not None:
                # of other months than the closed one, what the models say now
                query = f"select * from read_parquet({text(str(folder / f'{name}.parquet'))})"
                if kept:
                    query += f" union all by name select * from {live} where not ({kept.replace('$period', f'{text(str(period))}::date')})"
            db.execute(f"create or replace temp view kept_{name} as {query}")
        db.execute(f"create or replace temp view bill_rows as {CHARGES}")
        # what was named: contents of bill rows, files of telemetry rows
        self._contents: set[str] = set()
        self._files: set[str] = set()

    def gather(self) -> None:
        """Set aside what the models allocated to the keys of ``line_postings``, and what other postings hold of them."""
        for query in POSTED_KEYS:
            self.db.execute(query)
        self.db.execute(HELD_POSTINGS, {"as_of": self.as_of})

    def totals(self) -> tuple[Decimal, Decimal, list[tuple[str, Decimal]]]:
        """What is allocated, what other postings hold of it, and what was posted without a model, by reason."""
        zero = Decimal(0)
        (allocated,) = self.db.execute("select sum(charged_cost) from allocated").fetchone()
        (moved,) = self.db.execute("select sum(moved_cost) from moved").fetchone()
        (held,) = self.db.execute("select sum(posted_cost) from held_postings").fetchone()
        by_hand = self.db.execute(
            "select case when bucket = 'immaterial' then 'differences too small for a line' else reason end, sum(posted_cost) from line_postings"
            f" where reason in {(*BY_HAND, 'markup')} or bucket = 'immaterial' group by 1 order by 1"
        ).fetchall()
        return (allocated or zero) + (moved or zero), held or zero, by_hand

    def allocated(self, branch: Tree) -> None:
        """What was allocated, by place or consumer, and what shared costs were moved, each down to bill rows."""
        groups = records(
            self.db,
            f"select {_GROUP}, min(usage_date) as first, max(usage_date) as last, count(distinct usage_date) as days,"
            f" sum(charged_cost) as cost, 'allocated' as kind from allocated group by {_GROUP} having cost <> 0"
            f" union all by name select {_SHARED_GROUP}, min(usage_date) as first, max(usage_date) as last, count(distinct usage_date) as days,"
            " sum(moved_cost) as cost, sum(pool_cost) as pool_cost, 'moved' as kind"
            f" from moved group by {_SHARED_GROUP} having cost <> 0",
        )
        groups.sort(key=lambda group: (-abs(group["cost"]), *(str(group[name]) for name in sorted(group))))
        for group in limited(branch, groups, _cost, self.currency):
            if group["kind"] == "moved":
                self._moved(branch, group)
            else:
                self._group(branch, group, "allocated")

    def _group(self, branch: Tree, group: dict, of: str) -> None:
        """One payer's cost in one place, or of one model or service; ``of``: the table whose days it stands for."""
        same = " and ".join(f"{name.strip()} is not distinct from ${name.strip()}" for name in _GROUP.split(","))
        self.db.execute(
            f"create or replace temp table group_days as select distinct usage_date from {of} where {same}",
            {name.strip(): group[name.strip()] for name in _GROUP.split(",")},
        )
        named = [group["node"] or group["pool"] or group["cluster"], group["team"], group["project"], group["tenant"], group["model"]]
        told = branch.add(
            f"{' · '.join(escape(name) for name in named if name)} · {group['component']}, {group['source_name']} {group['billing_period']:%Y-%m}"
            f" · by {escape(group['rule'] or 'no rule')} · {_span(group)}: {exact(group['cost'], self.currency)}"
        )
        if group["bucket"] == "rounding":
            told.add("digits past the 12th of the bill's rows")
        elif group["cluster"] or group["pool"] or group["node"]:
            self._held(told, group)
        elif group["basis"] == "estimated":
            told.add("priced by the price book: no bill is in yet")
        elif group["component"].startswith("tokens_") and group["service_name"] is None and group["rule"] is None:
            self._consumed(told, group)
        else:
            whose = group["team"]
            self._bills(
                told,
                f"{NODE_ROWS.format(word='not in')} and payer = $payer and coalesce(rule, '') = coalesce($rule, '')"
                " and service_name is not distinct from $service_name and project is not distinct from $project and "
                + (
                    "model = $model"
                    if group["component"].startswith("tokens_")
                    else "category = $component and $model is not distinct from null"
                ),
                group,
                {"payer": whose} | {name: group[name] for name in ("rule", "service_name", "project", "component", "model")},
            )

    def _held(self, branch: Tree, group: dict) -> None:
        """What was held of a node (or nobody held) with its telemetry rows, and the node's bill rows."""
        params = {name: group[name] for name in ("cluster", "pool", "node", "component", "bucket", "team", "gpu_model", "model", "tenant")}
        rows = records(self.db, HELD, params | {"rule": group["rule"], "project": group["project"]})
        for row in limited(branch, rows, _cost, self.currency):
            branch.add(f"{self._holder(row)}: {exact(row['cost'], self.currency)}")
        rest = group["cost"] - sum(map(_cost, rows))
        remainder(branch, rest, self.currency, "of these hours on other bills or services, or not told apart by holder")
        if group["basis"] == "estimated":
            branch.add("priced by the price book: no bill of the node is in yet")
        else:
            self._bills(
                branch, f"{OF_NODE} and category = $service_name", group, {n: group[n] for n in ("cluster", "pool", "node", "service_name")}
            )

    def _consumed(self, branch: Tree, group: dict) -> None:
        """What the consumers of a model bear together, of which this is a part: usage, and the bill rows or servers behind it."""
        bill = {name: group[name] for name in ("source_name", "billed_by", "billing_period", "component", "model")}
        (pool,) = self.db.execute(
            "select sum(charged_cost) from kept_allocation where usage_date in (select usage_date from group_days) and service_name is null"
            " and " + " and ".join(f"{name} is not distinct from ${name}" for name in bill),
            bill,
        ).fetchone()
        requests, tokens = self.db.execute(
            "select sum(request_count), sum(token_count) from kept_token_costs where usage_date in (select usage_date from group_days)"
            " and model = $model and tenant is not distinct from $tenant and feature is not distinct from $project",
            {name: group[name] for name in ("model", "tenant", "project")},
        ).fetchone()
        branch.add(
            f"{requests or 0:,} requests, {tokens or 0:,} tokens: part of {exact(pool, self.currency)} that the model's consumers bear of these days"
        )
        if group["component"] != "tokens_self_hosted":
            self._bills(branch, "model = $model", group, {"model": group["model"]})
            return
        rows = records(self.db, SERVERS, {"model": group["model"]})
        served = branch.add(f"served by what cost {exact(sum(map(_cost, rows), Decimal(0)), self.currency)}")
        for row in limited(served, rows, _cost, self.currency):
            told = served.add(f"{escape(row['node'] or 'no node')} · {self._holder(row)}: {exact(row['cost'], self.currency)}")
            self._bills(told, OF_NODE, group | {"cost": row["cost"]}, {name: row[name] for name in ("cluster", "pool", "node")})

    def _moved(self, branch: Tree, group: dict) -> None:
        """What a rule moved: by which rule and ratio, and the giver's cost down to its bills."""
        giver, place = escape(group["from_team"]), group["node"] or group["pool"] or group["cluster"] or "everywhere"
        resource = f" ({group['resource']})" if group["resource"] else ""
        what = "given away" if group["entry"] == "negating" else f"{group['cost'] / group['pool_cost']:.6%} received"
        told = branch.add(
            f"{what} of {exact(group['pool_cost'], self.currency)} of {giver}{resource} in {escape(place)}, {group['source_name']}"
            f" {group['billing_period']:%Y-%m} · by cost_sharing/{escape(group['rule_id'])}@{group['rule_version']} (step {group['step']}):"
            f" {group['method']} within {group['within']} · {_span(group)}: {exact(group['cost'], self.currency)}"
        )
        if group["entry"] == "negating":
            return
        keys = {name: group[name] for name in ("source_name", "billed_by", "billing_period", "cluster", "pool", "node", "resource")}
        keys |= {"bucket": group["from_bucket"], "payer": group["from_team"], "step": group["step"], "rule_id": group["rule_id"]}
        self.db.execute(GIVEN, keys | {"team": group["team"]})
        pool = told.add(f"what {giver} had there: {exact(group['pool_cost'], self.currency)}")
        rows = records(
            self.db,
            f"select {_GROUP}, min(usage_date) as first, max(usage_date) as last, count(distinct usage_date) as days, sum(charged_cost) as cost"
            f" from given group by {_GROUP} having cost <> 0 order by abs(cost) desc, {_GROUP}",
        )
        for row in limited(pool, rows, _cost, self.currency):
            self._group(pool, row, "given")
        rest = group["pool_cost"] - sum(map(_cost, rows))
        remainder(pool, rest, self.currency, "given to it or taken from it by earlier steps, or of other components")

    def _bills(self, branch: Tree, where: str, group: dict, params: dict) -> None:
        """Bill rows on the group's bill and days, of which the group's cost is a part."""
        bill = {name: group[name] for name in ("source_name", "billed_by", "billing_period")}
        on = " and ".join(f"{name} is not distinct from ${name}" for name in bill)
        used = {name: value for name, value in (params | bill).items() if f"${name}" in f"{where} {on}"}
        total = self.bill_total(branch, f"{on} and {OVERLAP} and {where}", used, "reporting_effective_cost", group["cost"])
        if not total and group["cost"]:
            branch.add(f"on no bill row that says so: {exact(group['cost'], self.currency)}")

    def bill_total(self, branch: Tree, where: str, params: dict, cost: str, part: Decimal | None = None) -> Decimal:
        """The bill rows of a condition, and what they come to; ``part`` of it is what is explained, the rest is named as others'."""
        rows = records(
            self.db,
            f"select file_name, file_row, charge_description, charge_period_start, charge_period_end, delivery_id, {cost} as cost from bill_rows"
            f" where {where} order by abs(cost) desc, file_name, file_row",
            params,
        )
        total = sum(map(_cost, rows), Decimal(0))
        if rows:
            of_it = ""
            if part is not None and part != total:
                of_it = f" = this {exact(part, self.currency)} + other payers, days or digits {exact(total - part, self.currency)}"
            told = branch.add(f"bill rows: {exact(total, self.currency)}{of_it}")
            for row in limited(told, rows, _cost, self.currency):
                told.add(bill_row(row, self.currency))
            self._contents.update(row["delivery_id"] for row in rows)
        return total

    def _holder(self, row: dict) -> str:
        """Who held, how much and when, and the telemetry row that says so."""
        said = [escape(row["holder"]), escape(row["reason"] or "")]
        said.append(f"{row['hours']:.6g} GPU-h" if row["hours"] else "")
        said.append(f"{row['start']:%Y-%m-%d %H:%M} to {row['until']:%Y-%m-%d %H:%M}")
        if row["file_name"]:
            self._files.add(row["file_name"])
            said.append(f"telemetry: {escape(row['file_name'])} row {row['file_row']}")
        return " · ".join(filter(None, said))

    def deliveries(self, branch: Tree) -> None:
        """When the files that were named arrived, and what they held."""
        rows = self.db.execute(DELIVERIES, {"files": sorted(self._files), "contents": sorted(self._contents)}).fetchall()
        if rows:
            told = branch.add("delivered")
            for row in limited(told, rows):
                told.add(delivery(row))


def bill_row(row: dict, currency: str) -> str:
    """One bill row: its file and row, what it says, when, and its cost."""
    return (
        f"{escape(row['file_name'])} row {row['file_row']} · {escape(row['charge_description'] or '')} · {row['charge_period_start']:%Y-%m-%d %H:%M} to"
        f" {row['charge_period_end']:%Y-%m-%d %H:%M}: {exact(row['cost'], currency)}"
    )


def delivery(row: tuple) -> str:
    """One delivery: file, when it arrived and was loaded, its content's hash, how many rows."""
    files, arrived, loaded, content, count = row
    return f"{escape(files)} · arrived {arrived} · loaded {loaded} · content {content} · {count:,} rows"


def _span(group: dict) -> str:
    if group["first"] == group["last"]:
        return f"{group['first']}"
    return f"{group['days']} days, {group['first']} to {group['last']}"


def _cost(row: dict) -> Decimal:
    return row["cost"]
