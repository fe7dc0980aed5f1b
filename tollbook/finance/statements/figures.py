"""What each statement says, without words: figures and names of one month for every recipient, and their hash."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance import freeze
from tollbook.finance.currencies import minor_units
from tollbook.finance.statements.lines import READ, money, prepare, spread

#: Who a statement may be for: who pays, what nobody pays for, and whose tokens they were.
KINDS = ("cost_centre", "bucket", "tenant")
#: What adds up to a statement's total in another way, in the order of printing.
BREAKDOWNS = ("component", "service", "gpu_model", "model", "project")


@dataclass
class Statement:
    """A statement: what it says (``content``, the hash is of that), its number once issued, and the files it was written to."""

    recipient_kind: str
    recipient: str
    period: date
    content: dict[str, Any]
    version: int = 0
    is_draft: bool = False
    locale: str = "en_US"
    disputes: list[dict] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def statement_id(self) -> str:
        named = self.recipient if self.recipient_kind == "cost_centre" else f"{self.recipient_kind}:{self.recipient}"
        return f"{self.period:%Y-%m}/{named}/{'draft' if self.is_draft else self.version}"

    @property
    def mode(self) -> str:
        return self.content["mode"]

    @property
    def currency(self) -> str:
        return self.content["currency_code"]

    @property
    def digits(self) -> int:
        """How many decimals its amounts have."""
        return self.content["digits"]

    @property
    def charged_cost(self) -> Decimal:
        return Decimal(self.content["charged_cost"])

    @property
    def stated_amount(self) -> Decimal:
        return Decimal(self.content["stated_amount"])

    @property
    def content_hash(self) -> str:
        """sha256 of the content as canonical JSON."""
        said = json.dumps(self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()


def statements_of(db: duckdb.DuckDBPyConnection, folder: Path, period: date) -> list[Statement]:
    """Every statement of the frozen month in ``folder``, cost centres first, then buckets and tenants; unnumbered.

    Leaves the tables of ``lines.prepare`` in the connection.

    Raises:
        TollbookError: the folder keeps another month, was changed or frozen by an older version, or nothing is charged in it.
    """
    manifest = freeze.manifest_of(folder)
    if manifest["period"] != f"{period:%Y-%m}":
        raise TollbookError(f"{folder} keeps {manifest['period']}, not {period:%Y-%m}.")
    missing = [name for name in READ if f"{name}.parquet" not in manifest["files"]]
    if missing:
        raise TollbookError(
            f"{folder} was frozen by Tollbook {manifest['tollbook']} without {', '.join(missing)}: use that version for it."
        )
    digits, decimals = _digits(manifest)
    prepare(db, folder, period, digits)
    asked = _asked(digits, decimals)
    stated = {name: _by_recipient(db, query.format(**asked), period) for name, query in _QUERIES.items()}
    if not stated["totals"]:
        raise TollbookError(f"nothing is charged in {period:%Y-%m}, so there is nothing to state. Are its bills loaded and posted?")
    _prove(db, period)
    mode = db.execute(_MODE, {"period": period}).fetchone()[0]
    (has_before,) = db.execute("select count(*) > 0 from frozen_postings_before where bucket is not null").fetchone()
    found = []
    for key, (total,) in sorted(stated["totals"].items(), key=lambda one: (KINDS.index(one[0][0]), one[0][1])):
        kind, recipient = key
        parts = defaultdict(list)
        for row in stated["parts"].get(key, []):
            parts[row.pop("part")].append({name: value for name, value in row.items() if value is not None})
        before = stated["before"].get(key)
        content = {
            "period": manifest["period"],
            "recipient_kind": kind,
            "recipient": recipient,
            "mode": mode,
            "currency_code": manifest["currency_code"],
            "digits": digits,
            "known_at": manifest["known_at"],
            "tollbook": manifest["tollbook"],
            **total,
            # nothing is known of a month before the ledger begins, which is not the same as 0
            "stated_before": before[0]["stated_amount"] if before else f"{0:.{decimals}f}" if has_before else None,
            "parts": parts,
            **{name: stated[name].get(key, []) for name in _QUERIES if name not in ("totals", "before", "parts")},
        }
        found.append(Statement(kind, recipient, period, content))
    return found


def _digits(manifest: dict[str, Any]) -> tuple[int, int]:
    """Of what units amounts are, and with how many decimals they are written."""
    if "minor_units" in manifest:
        return manifest["minor_units"], manifest["minor_units"]
    # months frozen by earlier versions go on being stated as they were: with two decimals, and in no finer units
    return min(minor_units(manifest["currency_code"]), 2), 2


def _by_recipient(db: duckdb.DuckDBPyConnection, query: str, period: date) -> dict[tuple[str, str], list[dict]]:
    """The rows of a query by its first two columns; figures and dates as text, so that they are the same wherever they are read."""
    asked = db.execute(query, {"period": period} if "$period" in query else None)
    names = [column[0] for column in asked.description][2:]
    found = defaultdict(list)
    for kind, recipient, *values in asked.fetchall():
        found[kind, recipient].append(dict(zip(names, map(_plain, values), strict=True)))
    return dict(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value


def _prove(db: duckdb.DuckDBPyConnection, period: date) -> None:
    """The statements are all that is charged in the month, and every one is what its lines and its breakdowns add up to."""
    charged, stated = db.execute(
        "select (select sum(posted_cost) from frozen_postings where bucket is not null), (select sum(charged_cost) from stated_totals"
        " where side = 'payers' and accounting_period = $period::date)",
        {"period": period},
    ).fetchone()
    if charged != stated:
        raise TollbookError(f"{period:%Y-%m}: {charged} is charged, but the statements are of {stated}; none was issued.")
    wrong = db.execute(_UNEQUAL).fetchone()
    if wrong:
        raise TollbookError("statement of {} {}: {} adds up to {}, not to {}; none was issued.".format(*wrong))


_UNEQUAL = """
select recipient_kind, recipient, part, sum(stated), any_value(statement_stated)
from (
    select recipient_kind, recipient, accounting_period, 'lines' as part, stated, statement_stated from stated_lines
    union all
    select recipient_kind, recipient, accounting_period, part, stated, statement_stated from stated_parts
)
group by recipient_kind, recipient, accounting_period, part
having sum(stated) <> any_value(statement_stated)
"""

# whether statements ask for money or only show it, as the rules of the month's last day say
_MODE = """
select coalesce(max_by(json_extract_string(content, '$.value'), rule_version), 'chargeback')
from frozen_rule_versions
where table_name = 'policies' and json_extract_string(content, '$.policy') = 'chargeback_mode'
    and greatest(coalesce(valid_from, '0001-01-01'), coalesce(in_force_from, '0001-01-01')) < $period::date + interval 1 month
    and least(coalesce(valid_to, '9999-12-31'), coalesce(in_force_to, '9999-12-31')) >= $period::date + interval 1 month
"""


def _asked(digits: int, decimals: int) -> dict[str, str]:
    """What the queries have in common, as SQL."""
    shared = spread("shared_amounts", ["recipient_kind", "recipient"], ["step", "rule", "shared_cost_of", "method", "component"], digits)
    return {
        "now": "accounting_period = $period::date",
        "shared": f"({shared})",
        "stated": money("stated", digits, decimals),
        **{f"{name}_money": money(f"{name}_stated", digits, decimals) for name in ("now", "before", "volume", "rate")},
        "payer": "unnest([{recipient_kind: 'cost_centre', recipient: coalesce(cost_centre, team)},"
        " {recipient_kind: 'bucket', recipient: bucket}, {recipient_kind: 'tenant', recipient: tenant}], recursive := true)",
    }


#: What is asked of all statements at once; the first two columns say whose a row is.
_QUERIES = {
    "totals": "select recipient_kind, recipient, charged_cost, {stated} as stated_amount from stated_totals where {now} order by recipient_kind, recipient",
    "before": "select recipient_kind, recipient, {stated} as stated_amount from stated_totals where accounting_period < $period::date",
    "parts": """
        select recipient_kind, recipient, part, section, reason, month, name, rest, billed_by, charged_cost, {stated} as stated_amount
        from stated_parts where {now} and part not in ('changes', 'rule', 'bill')
        order by recipient_kind, recipient, list_position(['charges', 'markup', 'adjustments'], section), month desc, stated desc, rest nulls first, name, billed_by, reason
    """,
    "components_before": """
        select recipient_kind, recipient, name, rest, {stated} as stated_amount
        from stated_parts where accounting_period < $period::date and part = 'component' order by recipient_kind, recipient, name, rest
    """,
    "changes": """
        select recipient_kind, recipient, section, component, gpu_model, model, reason, {now_money} as now_amount, {before_money} as before_amount,
            now_quantity, before_quantity, now_rate, before_rate, {volume_money} as volume_amount, {rate_money} as rate_amount
        from stated_changes
        order by recipient_kind, recipient, list_position(['charges', 'markup', 'adjustments'], section), abs(now_stated - before_stated) desc,
            component, gpu_model, model, reason
    """,
    "lines": """
        select recipient_kind, recipient, line_number, section, usage_period, billed_by, component, service_name, gpu_model, model, project,
            reason, charged_cost, {stated} as stated_amount
        from stated_lines where {now} order by recipient_kind, recipient, line_number
    """,
    # what a unit cost on average: figures of what was held and used, which need not be what is charged
    "gpu_hours": """
        with charged as (
            select distinct usage_date, coalesce(cost_centre, team) as payer, coalesce(gpu_model, '') as gpu_model, model
            from frozen_postings where bucket is not null and model is not null
                and coalesce(gpu_model, service_name) is not null
        ),

        held as (
            select
                case when is_held then cost_centre end as cost_centre, case when is_held then team end as team,
                case when is_held then tenant end as tenant, case when not is_held then layer end as bucket, gpu_model,
                case when is_held then held_gpu_hours else gpu_hours end::decimal(38, 9) as quantity, allocated_cost as cost,
                -- what served a model on a day on which its holder is charged nothing for it: those are who used the model
                is_held and model is not null and coalesce(allocated_cost, 0) <> 0
                    and (usage_date, coalesce(cost_centre, team, 'unowned'), coalesce(gpu_model, ''), model) not in (from charged) as is_of_consumers
            from frozen_gpu_hours
        )
        select recipient_kind, recipient, gpu_model, is_of_consumers, sum(quantity)::decimal(38, 6) as gpu_hours, sum(cost)::decimal(38, 12) as cost,
            round((sum(cost) / sum(quantity) filter (where cost is not null))::double, 6)::decimal(38, 6) as cost_per_gpu_hour
        from (select {payer}, gpu_model, is_of_consumers, quantity, cost from held where quantity > 0)
        where recipient is not null group by all order by recipient_kind, recipient, gpu_model, is_of_consumers
    """,
    "tokens": """
        select recipient_kind, recipient, model, sum(token_count)::bigint as token_count,
            coalesce(sum(token_count) filter (where cost is null), 0)::bigint as token_count_without_cost, sum(cost)::decimal(38, 12) as cost,
            round(sum(cost)::double * 1000000 / sum(token_count) filter (where cost is not null), 6)::decimal(38, 6) as cost_per_million_tokens
        from (
            select {payer}, model, token_count, coalesce(vendor_cost, serving_cost) as cost
            from (select *, null::varchar as bucket from frozen_token_costs) where token_count > 0
        )
        where recipient is not null group by all order by recipient_kind, recipient, model
    """,
    "jobs": """
        select recipient_kind, recipient, count(*) as jobs, count(*) filter (where cost is null) as jobs_without_cost,
            sum(gpu_hours::decimal(38, 6))::decimal(38, 6) as gpu_hours, sum(cost)::decimal(38, 12) as cost,
            round((sum(cost) / count(cost))::double, 6)::decimal(38, 6) as cost_per_job
        from (select {payer}, gpu_hours, cost from (select *, null::varchar as bucket from frozen_jobs) where not is_serving)
        where recipient is not null group by all order by recipient_kind, recipient
    """,
    "rules": """
        select recipient_kind, recipient, name as rule, month,
            coalesce(any_value(content order by in_force_from nulls first, valid_from nulls first), any_value(waived.said)) as said, rest,
            any_value({stated}) as stated_amount
        from stated_parts left join frozen_rule_versions as versions
            on name = versions.table_name || '/' || versions.rule_key || '@' || versions.rule_version
        left join (
            select 'accrual/' || check_id || ':' || item as accrual, accounting_period as accrued_in,
                arg_max(json_object('reason', reason, 'approved_by', approved_by)::varchar, recorded_at) as said
            from frozen_waivers group by all
        ) as waived on name = waived.accrual and month = waived.accrued_in
        where {now} and part = 'rule' group by recipient_kind, recipient, name, month, rest
        order by recipient_kind, recipient, abs(any_value(stated)) desc, name, month, rest
    """,
    "shared_costs": """
        with shared_amounts as (
            select
                case when bucket = 'allocated' then 'cost_centre' else 'bucket' end as recipient_kind,
                case when bucket = 'allocated' then coalesce(cost_centre, team) else bucket end as recipient,
                step, rule_id || '@' || rule_version as rule, shared_cost_of, method, component, sum(moved_cost)::decimal(38, 12) as charged_cost
            from frozen_shared_costs where entry <> 'kept' group by all
        )
        select recipient_kind, recipient, step, rule, shared_cost_of, method, component, charged_cost, {stated} as stated_amount
        from {shared} order by recipient_kind, recipient, step, rule, shared_cost_of, method, component
    """,
    # per bill: the invoices that the provider sent for it, from the ledger's clearing accounts and the invoices themselves; what was booked
    # by hand is on none
    "invoices": """
        with invoices as (
            select billed_by, billing_period, invoice_id from frozen_postings where invoice_id is not null
            union
            select invoice_issuer_name, billing_period, invoice_id from frozen_invoices where invoice_id is not null
        )
        select recipient_kind, recipient, parts.billed_by, parts.month as billing_period, parts.reason, {stated} as stated_amount,
            (select string_agg(invoice_id, ', ' order by invoice_id) from invoices
                where parts.reason is null and invoices.billed_by = parts.billed_by and invoices.billing_period = parts.month) as invoice_ids
        from stated_parts as parts where {now} and part = 'bill' order by recipient_kind, recipient, billing_period desc, parts.billed_by, parts.reason nulls first
    """,
    # held against the usage of the month: of everything what is charged or accrued for it, of GPUs what the GPU nodes held cost
    "budgets": """
        with spent as (
            select {payer}, cost_centre, team, 'everything' as cost_kind, charged_cost as cost
            from (select case when recipient_kind = 'cost_centre' then recipient end as cost_centre, null::varchar as bucket, team,
                null::varchar as tenant, charged_cost from stated_facts where {now} and side = 'payers'
                    and (section <> 'adjustments' or reason_of_line = 'accrual'))
            union all
            select {payer}, cost_centre, team, 'gpu', allocated_cost
            from (select coalesce(cost_centre, team) as cost_centre, null::varchar as bucket, team, null::varchar as tenant, allocated_cost
                from frozen_gpu_hours where is_held)
        )
        select spent.recipient_kind, spent.recipient, scope, scope_value, cost_kind, amount_per_month, upper(trim(currency)) as currency_code,
            sum(spent.cost)::decimal(38, 12) as cost
        from frozen_budgets as budgets inner join spent
            on coalesce(nullif(lower(trim(budgets.cost)), ''), 'everything') = cost_kind
            and lower(trim(scope_value)) = lower(case lower(trim(scope)) when 'cost_centre' then spent.cost_centre when 'team' then spent.team end)
        where spent.recipient is not null and coalesce(valid_from, '0001-01-01') < $period::date + interval 1 month
            and coalesce(valid_to, '9999-12-31') > $period::date
        group by spent.recipient_kind, spent.recipient, scope, scope_value, cost_kind, amount_per_month, currency order by recipient_kind, recipient, scope, scope_value, cost_kind
    """,
}
