"""Who is charged what in a month, to the cent: every figure of every statement, as tables of the connection, all statements at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

from tollbook.finance.ledger import BY_HAND, SECTION
from tollbook.sources.typing import text

#: Units of a ledger amount: decimal(38, 12).
_DIGITS = 12
#: The frozen files that statements are made of.
READ = (
    *("postings", "postings_before", "usage", "usage_before", "gpu_hours", "token_costs", "jobs"),
    *("shared_costs", "invoices", "budgets", "rule_versions", "waivers"),
)
_STATEMENT = ("side", "recipient_kind", "recipient", "accounting_period")


def spread(rows: str, by: Sequence[str], order: Sequence[str], digits: int, total: str | None = None, into: str = "stated") -> str:
    """The SQL that rounds ``charged_cost`` of each group of ``rows`` so that the rounded rows add up to the rounded group.

    Largest remainder: each row gets its whole units of 10^-``digits``, and what the group has left goes one each to the rows that lost
    most, of equal ones to the smallest amount, then by ``order``, which must tell rows of a group apart. No row is a whole unit off.

    rows    a relation with charged_cost decimal(38, 12)
    total   column with what the group must add up to, in whole units and less than one off its sum; the rounded sum by default
    into    name of the result, whole units (hugeint)
    """
    unit = 10 ** (_DIGITS - digits)
    group = f"partition by {', '.join(by)}"
    # half a unit goes away from zero
    whole = total or f"sign(sum(exact) over ({group}))::hugeint * ((2 * abs(sum(exact) over ({group})) + {unit}) // {2 * unit})"
    return f"""
        select * exclude (exact, lost, whole_units, to_give, place),
            (whole_units + case when place <= to_give then 1 else 0 end)::hugeint as {into}
        from (
            select *, ({whole}) - sum(whole_units) over ({group}) as to_give,
                row_number() over ({group} order by lost desc, exact, {", ".join(order)}) as place
            from (
                select *, (exact - lost) // {unit} as whole_units
                from (
                    select *, ((exact % {unit}) + {unit}) % {unit} as lost
                    from (select *, (charged_cost * 1000000000000)::hugeint as exact from {rows})
                )
            )
        )
    """


def money(units: str, digits: int, decimals: int | None = None) -> str:
    """The SQL of whole units of 10^-``digits`` as an amount with so many decimals, or with ``decimals``."""
    unit = f"{Decimal(1).scaleb(-digits):f}"
    return f"(({units})::decimal({38 - digits}, 0) * {text(unit)}::decimal({digits + 1}, {digits}))::decimal(38, {digits if decimals is None else decimals})"


def prepare(db: duckdb.DuckDBPyConnection, folder: Path, period: date, digits: int) -> None:
    """Make, of a frozen month, temporary tables with every figure of its statements.

    ``frozen_<file>`` are the files as they are. ``stated_facts`` has what is charged by statement and all that is told apart,
    ``stated_lines`` the lines, ``stated_totals`` the statements and ``stated_parts`` the breakdowns, for the month and the one before;
    amounts are charged_cost (exact) and stated (whole units of 10^-``digits``).
    """
    for name in READ:
        db.execute(f"create or replace temp view frozen_{name} as from read_parquet({text(str(folder / f'{name}.parquet'))})")
    db.execute(_FACTS)
    db.execute(_AMOUNTS)
    # one pot for all who are charged, buckets included; tenants show part of the same money and are a pot of their own
    totals = spread("statement_sums", ["side", "accounting_period"], ["recipient_kind", "recipient"], digits)
    db.execute(f"create or replace temp table stated_totals as {totals}")
    db.execute(_OF_STATEMENTS)
    lines = spread("line_sums", _STATEMENT, ["line_number"], digits, total="statement_stated")
    db.execute(f"create or replace temp table stated_lines as {lines}")
    parts = spread("part_sums", [*_STATEMENT, "part"], _KEY_OF_PART, digits, total="statement_stated")
    db.execute(_PARTS.format(parts=parts))
    db.execute(_CHANGES, {"period": period, "unit": 10**digits})


_SHOWN = "component, service_name, gpu_model, model, project"
_KEY_OF_PART = ["section", "component", "name", "rest", "gpu_model", "model", "reason", "month", "billed_by"]

_FACTS = f"""
create or replace temp table stated_facts as
with charged as (
    select * from frozen_postings where bucket is not null
    union all
    select * from frozen_postings_before where bucket is not null
),

-- a cost centre, or team without one, pays; what nobody pays for is stated by its bucket; a tenant sees the same money from another side
received as (
    select
        'payers' as side, case when bucket = 'allocated' then 'cost_centre' else 'bucket' end as recipient_kind,
        case when bucket = 'allocated' then coalesce(cost_centre, team, 'allocated') else bucket end as recipient, *
    from charged
    union all
    select 'tenants', 'tenant', tenant, * from charged where tenant is not null
)

select
    side, recipient_kind, recipient, accounting_period,
    {SECTION} as section,
    date_trunc('month', usage_date)::date as usage_period, billing_period, billed_by, component, service_name, gpu_model, model, project,
    case when section <> 'charges' then reason end as reason_of_line, rule, team, bucket, sum(posted_cost)::decimal(38, 12) as charged_cost
from received
group by all
"""

_AMOUNTS = f"""
create or replace temp view line_amounts as
select
    side, recipient_kind, recipient, accounting_period, section, usage_period, billed_by, {_SHOWN}, reason_of_line as reason,
    sum(charged_cost)::decimal(38, 12) as charged_cost
from stated_facts
group by all
having sum(charged_cost) <> 0;

create or replace temp view statement_sums as
select side, recipient_kind, recipient, accounting_period, sum(charged_cost)::decimal(38, 12) as charged_cost
from line_amounts
group by all;

-- what else adds up to the statement's total: by section, component and so on; what has no such name is a named rest
create or replace temp view part_amounts as
with parts as (
    select
        side, recipient_kind, recipient, accounting_period, charged_cost, bucket, component like 'shared:%' as is_shared,
        unnest([
            {{part: 'summary', section: section, reason: reason_of_line, month: case when section <> 'charges' then usage_period end}},
            {{part: 'changes', section: section, reason: reason_of_line,
                component: case when section <> 'adjustments' then component end,
                gpu_model: case when section <> 'adjustments' then gpu_model end,
                model: case when section <> 'adjustments' then model end}},
            {{part: 'component', name: component}},
            {{part: 'service', name: service_name}},
            {{part: 'gpu_model', name: gpu_model}},
            {{part: 'model', name: model}},
            {{part: 'project', name: project}},
            -- what was booked by hand has the reason of its month
            {{part: 'rule', name: rule, month: case when is_by_hand then billing_period end}},
            {{part: 'bill', month: billing_period, billed_by: billed_by, reason: case when is_by_hand then reason_of_line end}}
        ], recursive := true)
    from (select *, coalesce(reason_of_line in {BY_HAND}, false) as is_by_hand from stated_facts)
),

named as (
    select
        *,
        case
            when part in ('summary', 'changes', 'bill') or name is not null then null
            when is_shared then 'shared'
            when part = 'rule' and bucket = 'unowned' then 'unmatched'
            else 'none'
        end as rest
    from parts
)

select
    side, recipient_kind, recipient, accounting_period, part, section, component, name, rest, gpu_model, model, reason, month, billed_by,
    sum(charged_cost)::decimal(38, 12) as charged_cost
from named
group by all
having sum(charged_cost) <> 0;
"""

_OF_STATEMENTS = f"""
create or replace temp view line_sums as
select
    line_amounts.*, stated_totals.stated as statement_stated,
    row_number() over (
        partition by side, recipient_kind, recipient, accounting_period
        order by list_position(['charges', 'markup', 'adjustments'], section), usage_period desc, {_SHOWN}, billed_by, reason
    )::integer as line_number
from line_amounts inner join stated_totals using (side, recipient_kind, recipient, accounting_period);

create or replace temp view part_sums as
select part_amounts.*, stated_totals.stated as statement_stated
from part_amounts inner join stated_totals using (side, recipient_kind, recipient, accounting_period);
"""

_PARTS = "create or replace temp table stated_parts as {parts}"

# Against the month before, where both months have how much was used: what comes of more or less of it is what the difference in quantity
# would have cost at the earlier cost per unit, and the rest of the difference is the changed cost per unit. Both in whole units.
_CHANGES = """
create or replace temp table used_quantities as
select recipient_kind, recipient, is_now, component, gpu_model, model, sum(quantity) as quantity
from (
    select
        unnest([
            {recipient_kind: 'cost_centre', recipient: coalesce(cost_centre, team)},
            {recipient_kind: 'bucket', recipient: bucket},
            {recipient_kind: 'tenant', recipient: tenant}
        ], recursive := true), is_now, component, gpu_model, model, quantity
    from (select true as is_now, * from frozen_usage union all select false, * from frozen_usage_before)
)
where recipient is not null
group by all;

create or replace temp table stated_changes as
with items as (
    select
        side, recipient_kind, recipient, section, component, gpu_model, model, reason,
        coalesce(sum(stated) filter (where accounting_period = $period::date), 0)::hugeint as now_stated,
        coalesce(sum(stated) filter (where accounting_period < $period::date), 0)::hugeint as before_stated,
        (sum(charged_cost) filter (where accounting_period = $period::date))::double as now_cost,
        (sum(charged_cost) filter (where accounting_period < $period::date))::double as before_cost
    from stated_parts
    where part = 'changes'
    group by all
),

measured as (
    select items.*, now_used.quantity as now_quantity, before_used.quantity as before_quantity
    from items
    left join used_quantities as now_used
        on now_used.is_now and items.section = 'charges' and items.recipient_kind = now_used.recipient_kind
        and items.recipient = now_used.recipient and items.component = now_used.component
        and items.gpu_model is not distinct from now_used.gpu_model and items.model is not distinct from now_used.model
    left join used_quantities as before_used
        on not before_used.is_now and items.section = 'charges' and items.recipient_kind = before_used.recipient_kind
        and items.recipient = before_used.recipient and items.component = before_used.component
        and items.gpu_model is not distinct from before_used.gpu_model and items.model is not distinct from before_used.model
)

select
    * exclude (volume_stated),
    volume_stated,
    now_stated - before_stated - volume_stated as rate_stated
from (
    select
        * exclude (now_cost, before_cost),
        round(now_cost / now_quantity, 9)::decimal(38, 9) as now_rate,
        round(before_cost / before_quantity, 9)::decimal(38, 9) as before_rate,
        case
            when now_cost is not null and before_cost is not null and now_quantity > 0 and before_quantity > 0
                then round(before_cost / before_quantity * (now_quantity - before_quantity)::double * $unit)::hugeint
        end as volume_stated
    from measured
)
"""
