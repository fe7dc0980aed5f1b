"""Post: bring the ledger to what the models say, by new postings only, in one transaction.

A posting is what is computed minus what the ledger holds, by key (``tables.KEYS``). It goes to the month it belongs to, or, where that is
closed, to the next open one, with its original usage date. The ledger is never rebuilt: what was known at a moment is what was recorded
until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance.tables import KEYS

_KEY = ", ".join(KEYS)
#: Postings that people asked for: no model computes them, so the difference to the models leaves them alone.
BY_HAND = ("accrual", "accrual_reversal")


@dataclass(frozen=True)
class Posted:
    """What a run posted: how many postings, when they were recorded, and what is charged more or less by reason."""

    postings: int
    recorded_at: datetime
    by_reason: dict[str, Decimal]


def post(db: duckdb.DuckDBPyConnection, run_id: str) -> Posted:
    """Post the difference between ``intermediate.int_ledger_lines`` and the ledger for the days built since the last posting.

    Nothing is posted twice: where nothing changed there is no difference. All of it or nothing is written.

    Raises:
        TollbookError: the postings do not add up to 0, or the ledger is not what was computed; nothing was written.
    """
    db.begin()
    try:
        recorded_at = next_moment(db)
        _set_aside(db)
        db.execute(_PERIODS)
        db.execute(_DIFFERENCES.format(key=_KEY))
        db.execute(_HELD_BACK.format(key=_KEY))
        db.execute(_REASONS)
        count = append(db, run_id, recorded_at, _ROWS.format(key=", ".join(f"differences.{name}" for name in KEYS)))
        _prove(db)
        db.execute(
            "insert into ledger.runs by name select ? as run_id, ? as recorded_at, built_at, horizon_at, config_hash, models_hash,"
            " ? as postings from meta.build_state",
            [run_id, recorded_at, count],
        )
        db.execute("delete from meta.unposted_days")
        by_reason = dict(
            db.execute(
                "select reason, sum(posted_cost) from ledger.postings where run_id = ? and bucket is not null group by reason order by reason",
                [run_id],
            ).fetchall()
        )
        db.commit()
    except BaseException:
        db.rollback()
        raise
    return Posted(count, recorded_at, by_reason)


def append(db: duckdb.DuckDBPyConnection, run_id: str, recorded_at: datetime, rows: str) -> int:
    """Add what ``rows`` selects (accounting_period, reason, the keys, posted_cost) to the ledger; return how many postings.

    Belongs into the caller's transaction.

    Raises:
        TollbookError: they do not add up to 0.
    """
    db.execute(f"create or replace temp table new_postings as {rows}")
    (total,) = db.execute("select coalesce(sum(posted_cost), 0) from new_postings").fetchone()
    if total:
        raise TollbookError(f"the postings of this run add up to {total}, not to 0: nothing was posted.")
    return db.execute(
        f"insert into ledger.postings by name select (select coalesce(max(posting_id), 0) from ledger.postings)"
        f" + row_number() over (order by accounting_period, {_KEY}, reason) as posting_id, ? as run_id, ? as recorded_at, * from new_postings",
        [run_id, recorded_at],
    ).fetchone()[0]


def next_moment(db: duckdb.DuckDBPyConnection) -> datetime:
    """Now, but later than anything that was recorded: moments order what the ledger knows, whatever the clock does."""
    (moment,) = db.execute(
        """
        select greatest(now()::timestamp, coalesce(max(recorded_at) + interval 1 microsecond, now()::timestamp))
        from (select recorded_at from ledger.runs union all select recorded_at from ledger.postings union all
            select recorded_at from ledger.period_events union all select recorded_at from ledger.disputes)
        """
    ).fetchone()
    return moment


def is_posted(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether the newest build is in the ledger."""
    return db.execute(
        "select coalesce((select max(built_at) from ledger.runs) = (select built_at from meta.build_state), false)"
    ).fetchone()[0]


def closed_periods(db: duckdb.DuckDBPyConnection) -> list[date]:
    """The months that are closed now, in order."""
    return [row[0] for row in db.execute(f"{_CLOSED} order by 1").fetchall()]


def open_period(db: duckdb.DuckDBPyConnection, period: date) -> date:
    """``period`` itself while it is open, else the next month that is."""
    db.execute(_PERIODS)
    return db.execute(f"select {_OPEN.format(period='$1::date')}", [period]).fetchone()[0]


def _set_aside(db: duckdb.DuckDBPyConnection) -> None:
    """The days to compare, and how small a difference is that is not worth a line of its own in a closed month."""
    db.execute("create or replace temp table days_to_post as select distinct usage_date from meta.unposted_days")
    db.execute(
        "create or replace temp table threshold as select coalesce(max(value::decimal(38, 12)), 0) as cost from config.policies"
        " where policy = 'materiality_threshold' and coalesce(valid_from, '0001-01-01') <= (select max(usage_date) from days_to_post)"
        " and (select max(usage_date) from days_to_post) < coalesce(valid_to, '9999-12-31')"
    )
    # whether a month's differences are small is asked of the whole month
    db.execute(
        f"insert into days_to_post select distinct usage_date from ledger.postings where date_trunc('month', usage_date) in ({_CLOSED})"
        " and date_trunc('month', usage_date) in (select date_trunc('month', usage_date) from days_to_post)"
        " and (select cost > 0 from threshold) except select usage_date from days_to_post"
    )


_CLOSED = """
select accounting_period from ledger.period_events group by accounting_period having arg_max(event, recorded_at) = 'closed'
"""

_PERIODS = f"create or replace temp table closed_months as {_CLOSED}"

# the first month from a period on that is not closed: itself, or one that follows a closed one
_OPEN = """(
    select min(month) from (
        select {period} as month union all select (accounting_period + interval 1 month)::date from closed_months
    ) where month >= {period} and month not in (select accounting_period from closed_months)
)"""

_DIFFERENCES = """
create or replace temp table differences as
-- charges belong to the month of usage, what a bill asks for to the month of the bill
select {key}, case when basis = 'invoiced' then billing_period else date_trunc('month', usage_date)::date end as home_period,
    sum(posted_cost)::decimal(38, 12) as posted_cost
from (
    select {key}, posted_cost from intermediate.int_ledger_lines
    where usage_date in (select usage_date from days_to_post)
    union all
    -- what is collected of a closed month is computed anew below
    select {key}, -posted_cost from ledger.postings
    where usage_date in (select usage_date from days_to_post) and reason not in ('accrual', 'accrual_reversal')
        and bucket is distinct from 'immaterial'
)
group by {key}
having sum(posted_cost) <> 0
"""

# In a closed month, what a payer's differences come to below the threshold collects in one posting per bill instead.
_HELD_BACK = """
create or replace temp table small_payers as
select home_period, team, bucket, cost_centre
from differences
where bucket is not null and home_period in (select accounting_period from closed_months)
group by home_period, team, bucket, cost_centre
having sum(abs(posted_cost)) < (select cost from threshold);

create or replace temp table small_differences as
select differences.* from differences semi join small_payers
    on differences.home_period = small_payers.home_period and differences.team is not distinct from small_payers.team
    and differences.bucket = small_payers.bucket and differences.cost_centre is not distinct from small_payers.cost_centre;

delete from differences where bucket is not null and exists (
    select 1 from small_payers
    where differences.home_period = small_payers.home_period and differences.team is not distinct from small_payers.team
        and differences.bucket = small_payers.bucket and differences.cost_centre is not distinct from small_payers.cost_centre
);

insert into differences by name
select 'rounding' as account, home_period as usage_date, billing_period, source_name, billed_by, basis, 'immaterial' as team,
    'immaterial' as bucket, 'immaterial' as component, currency_code, home_period, sum(posted_cost)::decimal(38, 12) as posted_cost
from (
    select home_period, billing_period, source_name, billed_by, basis, currency_code, posted_cost from small_differences
    union all
    select usage_date, billing_period, source_name, billed_by, basis, currency_code, -posted_cost from ledger.postings
    where bucket = 'immaterial' and usage_date in (select date_trunc('month', usage_date) from days_to_post)
)
group by home_period, billing_period, source_name, billed_by, basis, currency_code
having sum(posted_cost) <> 0
"""

# Why something is posted, by what happened since the last posting: what was delivered, and which rules or models changed.
_REASONS = """
create or replace temp table last_run as select * from ledger.runs order by recorded_at desc limit 1;

create or replace temp table delivered as
select distinct delivery_days.usage_date, deliveries.source_name, deliveries.table_name in ('billing_lines', 'assets', 'asset_costs') as is_bill
from meta.deliveries inner join meta.delivery_days
    on deliveries.source_name = delivery_days.source_name and deliveries.delivery_id = delivery_days.delivery_id
where deliveries.loaded_at > (select recorded_at from last_run);

create or replace temp table held_bills as
select distinct source_name, usage_date, billing_period from ledger.postings where usage_date in (select usage_date from days_to_post);

create or replace temp table corrections as
select distinct source_name, charge_date as usage_date, billing_period from finance.fct_charges where charge_class = 'Correction';

-- an estimate goes when its bill comes
create or replace temp table trued_up as
select usage_date, billed_by from differences where basis = 'estimated' and bucket is not null
group by usage_date, billed_by having sum(posted_cost) < 0;
"""

_ROWS = f"""
with marked as (
    select
        differences.*,
        {_OPEN.format(period="differences.home_period")} as accounting_period,
        (differences.source_name, differences.usage_date, differences.billing_period) in (
            select source_name, usage_date, billing_period from held_bills
        ) as is_held,
        (differences.usage_date, differences.billed_by) in (select usage_date, billed_by from trued_up) as is_trued_up,
        (differences.source_name, differences.usage_date, differences.billing_period) in (
            select source_name, usage_date, billing_period from corrections
        ) as is_correction,
        differences.usage_date in (
            select usage_date from delivered where not is_bill or source_name = differences.source_name
        ) as is_delivered,
        (select config_hash from last_run) <> (select config_hash from meta.build_state) as is_other_rules,
        (select models_hash from last_run) <> (select models_hash from meta.build_state) as is_other_models
    from differences
)

select
    accounting_period,
    case
        when account = 'rounding' then 'rounding'
        when account = 'margin' or component = 'markup' then 'markup'
        when is_trued_up then 'true_up'
        when is_correction then 'correction'
        when not is_held then case when accounting_period > home_period then 'late_bill' else 'usage' end
        when is_delivered then 'correction'
        when is_other_rules then 'rule_change'
        when is_other_models then 'method_change'
        when accounting_period > home_period then 'correction'
        else 'usage'
    end as reason,
    {_KEY}, posted_cost
from marked as differences
"""


def _prove(db: duckdb.DuckDBPyConnection) -> None:
    """The ledger now holds what was computed, key by key, but for what is too small for a closed month."""
    db.execute(_DIFFERENCES.format(key=_KEY).replace("temp table differences", "temp table left_over"))
    wrong = db.execute(
        f"select {_KEY}, posted_cost from left_over except select {_KEY}, posted_cost from small_differences limit 1"
    ).fetchone()
    if wrong:
        said = ", ".join(f"{name} {value}" for name, value in zip((*KEYS, "posted_cost"), wrong, strict=True) if value is not None)
        raise TollbookError(f"the ledger is not what was computed ({said}); nothing was posted.")
