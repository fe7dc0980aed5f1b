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
#: The tables that bills and own ledgers are loaded into.
BILLS = ("billing_lines", "assets", "asset_costs")
#: Postings that people asked for: no model computes them, so the difference to the models leaves them alone.
BY_HAND = ("accrual", "accrual_reversal")
#: The months that are closed now.
CLOSED = "select accounting_period from ledger.period_events group by accounting_period having max_by(event, recorded_at) = 'closed'"
#: Where a charge stands on the statement of its accounting period, as SQL of a posting: what people booked is no usage of the month.
SECTION = (
    "case when account = 'margin' or component = 'markup' or reason = 'markup' then 'markup'"
    f" when date_trunc('month', usage_date) = accounting_period and reason not in {BY_HAND} then 'charges' else 'adjustments' end"
)


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
        # a ledger that knows of no run is behind the models on every day
        db.execute(
            "insert into meta.unposted_days select distinct usage_date from intermediate.int_ledger_lines"
            " where not exists (select 1 from ledger.runs)"
        )
        recorded_at = next_moment(db)
        db.execute(_PERIODS)
        db.execute(_DAYS)
        db.execute(_DIFFERENCES)
        db.execute(_HELD_BACK)
        db.execute(_REASONS)
        count = append(db, run_id, recorded_at, _ROWS)
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
        TollbookError: they do not add up to 0 in each accounting period and currency, or belong to a closed period.
    """
    db.execute(f"create or replace temp table new_postings as {rows}")
    uneven = db.execute(
        "select accounting_period, currency_code, sum(posted_cost) from new_postings group by all having sum(posted_cost) <> 0 order by all limit 1"
    ).fetchone()
    if uneven:
        raise TollbookError(f"the postings to {uneven[0]:%Y-%m} add up to {uneven[2]} {uneven[1]}, not to 0: nothing was posted.")
    closed = db.execute(f"select min(accounting_period) from new_postings where accounting_period in ({CLOSED})").fetchone()[0]
    if closed:
        raise TollbookError(f"{closed:%Y-%m} is closed: nothing was posted.")
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
        "select coalesce((select arg_max(built_at, recorded_at) from ledger.runs) = (select built_at from meta.build_state), false)"
    ).fetchone()[0]


def closed_periods(db: duckdb.DuckDBPyConnection) -> list[date]:
    """The months that are closed now, in order."""
    return [row[0] for row in db.execute(f"{CLOSED} order by 1").fetchall()]


def open_period(db: duckdb.DuckDBPyConnection, period: date) -> date:
    """``period`` itself while it is open, else the next month that is."""
    db.execute(_PERIODS)
    return db.execute(f"select {_OPEN.format(period='$1::date')}", [period]).fetchone()[0]


_PERIODS = f"create or replace temp table closed_months as {CLOSED}"

# the first month from a period on that is not closed: itself, or one that follows a closed one
_OPEN = """(
    select min(month) from (
        select {period} as month union all select (accounting_period + interval 1 month)::date from closed_months
    ) where month >= {period} and month not in (select accounting_period from closed_months)
)"""

# The days to compare, and how small a payer's difference is, by closed month, that is not worth lines of its own in the month it goes to.
_DAYS = f"""
create or replace temp table days_to_post as select distinct usage_date from meta.unposted_days;

create or replace temp table thresholds as
with months as (
    select accounting_period as home_period, {_OPEN.format(period="closed_months.accounting_period")} as posted_in from closed_months
)

select months.home_period, coalesce(max(try_cast(policies.value as decimal(38, 12))), 0) as cost
from months
left join config.policies as policies
    on policies.policy = 'materiality_threshold' and coalesce(policies.valid_from, '0001-01-01') <= months.posted_in
    and months.posted_in < coalesce(policies.valid_to, '9999-12-31')
group by months.home_period;

-- whether a month's differences are small is asked of the whole month, and so is what becomes of those collected before
insert into days_to_post
with touched as (
    select distinct date_trunc('month', usage_date)::date as home_period from days_to_post
),

collected as (
    select distinct usage_date as home_period
    from (
        select usage_date, billing_period, source_name, billed_by, basis, currency_code
        from ledger.postings where bucket = 'immaterial' group by all having sum(posted_cost) <> 0
    )
),

whole as (
    select home_period from thresholds semi join touched using (home_period) where cost > 0
    union
    select home_period from collected
    where home_period in (select home_period from touched) or home_period not in (select accounting_period from closed_months)
)

select usage_date
from (select usage_date from ledger.postings union select usage_date from intermediate.int_ledger_lines)
where date_trunc('month', usage_date)::date in (select home_period from whole)
except
select usage_date from days_to_post
"""

_DIFFERENCES = f"""
create or replace temp table differences as
-- charges belong to the month of usage, what a bill asks for to the month of the bill
select {_KEY}, case when basis = 'invoiced' then billing_period else date_trunc('month', usage_date)::date end as home_period,
    sum(posted_cost)::decimal(38, 12) as posted_cost
from (
    select {_KEY}, posted_cost from intermediate.int_ledger_lines
    where usage_date in (select usage_date from days_to_post)
    union all
    -- what is collected of a closed month is computed anew below
    select {_KEY}, -posted_cost from ledger.postings
    where usage_date in (select usage_date from days_to_post) and reason not in {BY_HAND}
        and bucket is distinct from 'immaterial'
)
group by {_KEY}
having sum(posted_cost) <> 0
"""

# In a closed month, what a payer's differences come to below the threshold collects in one posting per bill instead.
_HELD_BACK = """
create or replace temp table small_payers as
select home_period, team, bucket, cost_centre
from differences inner join thresholds using (home_period)
where bucket is not null
group by home_period, team, bucket, cost_centre
having sum(abs(posted_cost)) < max(thresholds.cost);

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

# Why something is posted, by what happened since the build that was posted last: what was delivered, and which rules or models changed.
_REASONS = f"""
create or replace temp table last_run as select * from ledger.runs order by recorded_at desc limit 1;

create or replace temp table fresh as
select source_name, partition_key, delivery_id, table_name in {BILLS} as is_bill
from meta.deliveries
where status = 'loaded' and loaded_at > (select built_at from last_run);

create or replace temp table delivered as
select distinct delivery_days.usage_date, fresh.source_name, fresh.is_bill
from fresh inner join meta.delivery_days
    on fresh.source_name = delivery_days.source_name and fresh.delivery_id = delivery_days.delivery_id;

-- what changed more days than it covers: the days of what it replaced are not kept, and price lists have none
create or replace temp table reaching as
select distinct source_name, is_bill
from fresh
where exists (
        select 1 from meta.deliveries as earlier
        where fresh.source_name = earlier.source_name and fresh.partition_key = earlier.partition_key
            and earlier.status = 'loaded' and not earlier.is_current
    )
    or delivery_id not in (select delivery_days.delivery_id from meta.delivery_days);

create or replace temp table held_bills as
select distinct source_name, usage_date, billing_period from ledger.postings where usage_date in (select usage_date from days_to_post);

-- days of a bill that all its lines correct
create or replace temp table corrections as
with spans as (
    select
        source_name, billing_period, charge_date as first_day,
        greatest(charge_date, (charge_period_end - interval 1 microsecond)::date) as last_day,
        bool_and(charge_class is not distinct from 'Correction') as is_correction
    from finance.fct_charges
    where (source_name, billing_period) in (
        select (source_name, billing_period) from finance.fct_charges where charge_class = 'Correction'
    )
    group by all
)

select days.source_name, days.usage_date, days.billing_period
from (select distinct source_name, usage_date, billing_period from differences) as days
inner join spans
    on days.source_name = spans.source_name and days.billing_period = spans.billing_period
    and days.usage_date between spans.first_day and spans.last_day
group by days.source_name, days.usage_date, days.billing_period
having bool_and(spans.is_correction);

-- an estimate goes when its bill comes, which may bill nothing
create or replace temp table trued_up as
select usage_date, billed_by from differences
where bucket is not null
group by usage_date, billed_by
having sum(posted_cost) filter (where basis = 'estimated') < 0
    and (sum(posted_cost) filter (where basis = 'billed') > 0 or usage_date in (select usage_date from delivered where is_bill));
"""

_ROWS = f"""
with marked as (
    select
        differences.*,
        {_OPEN.format(period="differences.home_period")} as accounting_period,
        (differences.source_name, differences.usage_date, differences.billing_period) in (
            select (source_name, usage_date, billing_period) from held_bills
        ) as is_held,
        exists (
            select 1 from trued_up
            where differences.usage_date = trued_up.usage_date and differences.billed_by is not distinct from trued_up.billed_by
        ) as is_trued_up,
        (differences.source_name, differences.usage_date, differences.billing_period) in (
            select (source_name, usage_date, billing_period) from corrections
        ) as is_correction,
        differences.usage_date in (
            select usage_date from delivered where not is_bill or source_name = differences.source_name
        ) as is_delivered,
        exists (select 1 from reaching where not is_bill or source_name = differences.source_name) as is_reached,
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
        when is_reached or accounting_period > home_period then 'correction'
        else 'usage'
    end as reason,
    {_KEY}, posted_cost
from marked as differences
"""


def _prove(db: duckdb.DuckDBPyConnection) -> None:
    """The ledger now holds what was computed, key by key, but for what is too small for a closed month."""
    db.execute(_DIFFERENCES.replace("temp table differences", "temp table left_over"))
    wrong = db.execute(
        f"select {_KEY}, posted_cost from left_over except select {_KEY}, posted_cost from small_differences limit 1"
    ).fetchone()
    if wrong:
        said = ", ".join(f"{name} {value}" for name, value in zip((*KEYS, "posted_cost"), wrong, strict=True) if value is not None)
        raise TollbookError(f"the ledger is not what was computed ({said}); nothing was posted.")
