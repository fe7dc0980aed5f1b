"""Accruals by hand: what a month is closed without, booked as a cost of that month and taken back in the next open one.

Usage that is not billed yet needs none: its estimate is a debit of cost and a credit of ``accrual`` every night, until the bill replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Context, Decimal

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance import ledger
from tollbook.finance.currencies import minor_units
from tollbook.warehouse.rule_tables import BUCKETS

#: The source that hand-made accruals bear: no delivery has them.
SOURCE = "(close)"
_FIELDS = ("item", "reason", "cost", "team", "billed_by", "currency_code")
# digits before the point that a decimal(38, 12) holds
_TOO_LARGE = Decimal(10) ** 26
_EXACT = Context(prec=60)


def book(db: duckdb.DuckDBPyConnection, run_id: str, recorded_at: datetime, period: date, items: Sequence[Mapping]) -> int:
    """Accrue ``items`` in ``period`` (first of an open month) and reverse them in the next open month; return how many postings.

    Each item has a name of its own in the month (``item``), ``reason``, ``cost`` (a Decimal in the reporting currency, below 0 for an expected
    credit, no finer than the currency's coin), ``team`` and ``billed_by`` (both may be None), ``currency_code``. A team pays by its cost
    centre at the end of the month; without one it is unowned. Both sides are usage of the month's last day: by month of usage they come to 0,
    only the accounting months show when. An item that was booked before is brought to what is said now: nothing is booked twice, and a cost
    of 0 takes it back. Belongs into the caller's transaction, before the month is recorded as closed.

    Raises:
        TollbookError: an item cannot be booked, or the month is closed; nothing was written.
    """
    if period.day != 1:
        raise TollbookError(f"nothing is accrued: {period} is not the first day of a month.")
    if period in ledger.closed_periods(db):
        raise TollbookError(f"nothing is accrued: {period:%Y-%m} is closed. Book accruals before it is, or reopen it.")
    rows = checked(db, items)
    if not rows:
        return 0
    db.execute(
        "create or replace temp table accrual_items"
        " (item varchar, cost decimal(38, 12), team varchar, billed_by varchar, currency_code varchar)"
    )
    db.executemany("insert into accrual_items values (?, ?, ?, ?, ?)", rows)
    (first,) = db.execute("select (?::date + interval 1 month)::date", [period]).fetchone()
    db.execute(_MISSING, {"period": period, "reversed_in": ledger.open_period(db, first), "source": SOURCE})
    return ledger.append(
        db,
        run_id,
        recorded_at,
        "select *, null as invoice_id, null as commitment_id, null as tenant, null as project, null as service_name, null as gpu_model,"
        " null as model from accruals_missing",
    )


def checked(db: duckdb.DuckDBPyConnection, items: Sequence[Mapping]) -> list[tuple]:
    """``items`` as ``book`` would book them: (item, cost, team as it is spelt elsewhere, billed_by, currency_code). Only reads.

    Raises:
        TollbookError: one of them cannot be booked.
    """
    rows = [_checked(db, number, item) for number, item in enumerate(items, 1)]
    names = [row[0] for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TollbookError(f"nothing is accrued: item named twice: {', '.join(twice)}. Give each a name of its own.")
    return rows


def booked(db: duckdb.DuckDBPyConnection, period: date) -> list[str]:
    """The items for which ``period`` (first of a month) bears an accrual now."""
    found = db.execute(
        "select distinct substr(rule, length('accrual/') + 1) from (select rule from ledger.postings where reason = 'accrual' and source_name = ?"
        " and accounting_period = ? and bucket is not null group by rule, team, billed_by having sum(posted_cost) <> 0) order by 1",
        [SOURCE, period],
    ).fetchall()
    return [item for (item,) in found]


def _checked(db: duckdb.DuckDBPyConnection, number: int, item: Mapping) -> tuple:
    """The item as a row of accrual_items, its team spelt as elsewhere."""

    def refuse(said: str):
        return TollbookError(f"nothing is accrued: item {number} ({item.get('item') or 'without a name'}): {said}")

    unknown, absent = sorted(set(item) - set(_FIELDS)), sorted(set(_FIELDS) - set(item))
    if unknown or absent:
        raise refuse(
            f"it has {', '.join(unknown) or 'nothing more'} and lacks {', '.join(absent) or 'nothing'}; it needs {', '.join(_FIELDS)}."
        )
    if not str(item["item"] or "").strip():
        raise refuse("say what it is.")
    if not str(item["reason"] or "").strip():
        raise refuse("say why it is accrued.")
    cost = item["cost"]
    if not isinstance(cost, Decimal) or not cost.is_finite() or abs(cost) >= _TOO_LARGE:
        raise refuse(f"{cost!r} is no amount.")
    (currency,) = db.execute("select currency_code from config.workspace").fetchone()
    if item["currency_code"] != currency:
        raise refuse(f"its currency is {item['currency_code']}; the ledger is in {currency}.")
    # what is finer the general ledger rounds, and it never clears
    if cost != cost.quantize(Decimal(1).scaleb(-minor_units(currency)), context=_EXACT):
        raise refuse(f"{cost} is finer than the coin of {currency}: at most {minor_units(currency)} decimals can be booked.")
    team = (item["team"] or "").strip() or None
    if team and team.lower() in BUCKETS:
        raise refuse(f"{team!r} is a bucket, not a team; leave the team out and it is unowned.")
    if team:
        known = db.execute(
            "select team from (select team, 1 as preference from config.teams union all"
            " select team, 2 from ledger.postings where bucket = 'allocated') where lower(team) = lower(?) order by preference limit 1",
            [team],
        ).fetchone()
        if known is None:
            raise refuse(f"no team {team!r} is in config/teams.csv or was ever charged. Spell it as there, or leave the team out.")
        team = known[0]
    return item["item"].strip(), cost, team, (item["billed_by"] or "").strip() or None, currency


# what is asked for, and its reversal, minus what is booked already of the same items of that month
_MISSING = """
create or replace temp table accruals_missing as
with wanted as (
    select
        'accrual/' || items.item as rule, items.billed_by, coalesce(items.team, 'unowned') as team, teams.cost_centre,
        case when items.team is null then 'unowned' else 'allocated' end as bucket, items.currency_code, items.cost
    from accrual_items as items
    left join config.teams
        on lower(items.team) = lower(teams.team) and coalesce(teams.valid_from, '0001-01-01') <= last_day($period::date)
        and last_day($period::date) < coalesce(teams.valid_to, '9999-12-31')
),

sides as (
    select 'cost' as account, rule, billed_by, team, cost_centre, bucket, 'accrual' as component, currency_code, cost from wanted
    union all
    select 'accrual', rule, billed_by, null, null, null, null, currency_code, -cost from wanted
),

differences as (
    select 'accrual' as reason, last_day($period::date) as usage_date, *, cost as posted_cost from sides
    union all
    select 'accrual_reversal', last_day($period::date), *, -cost from sides
    union all by name
    select reason, usage_date, account, rule, billed_by, team, cost_centre, bucket, component, currency_code, -posted_cost as posted_cost
    from ledger.postings
    where
        reason in ('accrual', 'accrual_reversal') and source_name = $source and billing_period = $period
        and rule in (select wanted.rule from wanted)
)

select
    reason, case reason when 'accrual' then $period::date else $reversed_in::date end as accounting_period, account, usage_date,
    $period::date as billing_period, $source as source_name, billed_by, 'estimated' as basis, team, cost_centre, bucket, component, rule,
    currency_code, sum(posted_cost)::decimal(38, 12) as posted_cost
from differences
group by reason, account, usage_date, rule, billed_by, team, cost_centre, bucket, component, currency_code
having sum(posted_cost) <> 0
"""
