"""Six months of a workspace's life, drawn by a seed: deliveries, corrections, changed rules, closes and reopenings, and nights without change.

Each step is a transaction that changes what is computed, or closes a month, and then a posting. What a step does depends on the seed, its
number and what is there, so a process that is killed anywhere goes on where it was.
"""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from pathlib import Path

from tests import scratch_ledgers as ledgers
from tollbook.finance import ledger
from tollbook.finance.tables import KEYS

STEPS = 40
MONTHS = [date(2026, number, 1) for number in range(1, 7)]
TEAMS = ("red", "blue", "green", None)
#: No threshold is higher, where there is one.
HIGHEST = 5
_KEY = ", ".join(KEYS)


def write(place: Path | str, with_threshold: bool):
    """The world before its first step."""
    db = ledgers.write(place)
    db.execute("create table world as select 0 as step, 1 as rules, 1 as models, $1 as with_threshold", [with_threshold])
    db.execute(
        f"create table snapshots (known_at timestamp, {', '.join(f'{name} {kind}' for name, kind in KEYS.items())}, cost decimal(38, 12))"
    )
    return db


def go(place: str, seed: int) -> None:
    """Do all steps that are left, telling before and after each what is written: for a process that may be killed."""
    with ledgers.connect(place) as db:
        tell("ready")
        while step(db, seed, tell):
            pass
    tell("end")


def tell(word: str) -> None:
    """Say it at once, whoever reads."""
    print(word, flush=True)


def step(db, seed: int, tell=lambda word: None) -> bool:
    """The next step; whether there was one left."""
    number, with_threshold = db.execute("select step, with_threshold from world").fetchone()
    if db.execute("select count(*) > 0 from meta.build_state").fetchone()[0] and not ledger.is_posted(db):
        # killed between the two
        _post(db, number, tell)
    if number == STEPS:
        return False
    draw = random.Random(f"{seed}/{number}")
    act = draw.choices(list(_ACTS), list(_ACTS.values()))[0]
    if act is _threshold and not with_threshold:
        act = _deliver
    tell(f"writing {act.__name__}")
    db.begin()
    days = act(db, draw, MONTHS[number * len(MONTHS) // STEPS])
    rules, models = db.execute("update world set step = step + 1 returning rules, models").fetchone()
    ledgers.built(db, sorted({str(day) for day in days}), f"rules {rules}", f"models {models}")
    db.commit()
    tell("written")
    _post(db, number + 1, tell)
    return True


def _post(db, number: int, tell) -> None:
    tell("writing post")
    posted = ledger.post(db, f"step {number}")
    tell("written")
    db.execute(
        f"insert into snapshots select $1, {_KEY}, sum(posted_cost) from ledger.postings group by all having sum(posted_cost) <> 0",
        [posted.recorded_at],
    )


def _some_days(draw, month: date, count: int) -> list[date]:
    return draw.sample(ledgers.days_of(f"{month:%Y-%m}"), count)


def _money(draw) -> Decimal:
    return Decimal(draw.randint(1, 40_000)) / draw.choice((1, 100, 1_000_000_000_000))


def _deliver(db, draw, month):
    """Usage of the month, in one of two bills, with or without its invoice."""
    days = _some_days(draw, month, 3)
    source = draw.choice(("bill", "storage"))
    invoice = draw.choice((None, f"INV-{month:%m}"))
    for day in days:
        for team in draw.sample(TEAMS, 2):
            bucket = "allocated" if team else draw.choice(("unowned", "idle"))
            component = draw.choice(("Compute", "Storage", "Tax"))
            ledgers.charge(
                db,
                day,
                team,
                _money(draw),
                source_name=source,
                bucket=bucket,
                component=component,
                cost_centre=f"CC-{team}",
                invoice_id=invoice,
            )
    ledgers.deliver(db, days, source, partition=f"{source}/{days[0]}")
    return days


def _drawn(db, draw, where: str = "true") -> tuple | None:
    """A day and source of what is computed."""
    rows = db.execute(f"select distinct usage_date, source_name from charges where {where} order by all").fetchall()
    return draw.choice(rows) if rows else None


def _correct(db, draw, month):
    """A delivery comes again with other figures, or without a day, of whatever month."""
    if not (drawn := _drawn(db, draw)):
        return []
    day, source = drawn
    if draw.random() < 0.3:
        db.execute("delete from charges where usage_date = ? and source_name = ?", drawn)
    else:
        change = Decimal(draw.choice((-3, -1, 1, 2, 50))) / draw.choice((1, 7, 1000)).__int__()
        db.execute(
            "update charges set cost = cost + ?::decimal(38, 12) where usage_date = ? and source_name = ?", [round(change, 12), *drawn]
        )
    ledgers.deliver(db, [day], source, partition=f"{source}/{day}")
    return [day]


def _credit(db, draw, month):
    """This month's bill corrects a day of any month so far."""
    if not (drawn := _drawn(db, draw)):
        return []
    day, source = drawn
    ledgers.charge(db, day, draw.choice(TEAMS[:3]), -_money(draw), source_name=source, billing_period=month, invoice_id=f"CR-{month:%m}")
    db.execute("insert into finance.fct_charges values (?, ?::date, ?::date + 1, ?::date, 'Correction')", [source, day, day, month])
    ledgers.deliver(db, [day], source, partition=f"credit/{day}")
    return [day]


def _late(db, draw, month):
    """A bill of an earlier month."""
    return _deliver(db, draw, draw.choice([one for one in MONTHS if one <= month]))


def _estimate(db, draw, month):
    """Usage whose bill is not in."""
    (day,) = _some_days(draw, month, 1)
    ledgers.charge(
        db, day, draw.choice(TEAMS[:3]), _money(draw), source_name="gateway", billed_by=draw.choice(("Lumen", None)), basis="estimated"
    )
    ledgers.deliver(db, [day], "gateway", "requests", f"gateway/{day}")
    return [day]


def _bill_of_estimate(db, draw, month):
    """The bill of what was estimated, at another figure."""
    if not (drawn := _drawn(db, draw, "basis = 'estimated'")):
        return []
    (day, _) = drawn
    db.execute(
        "update charges set basis = 'billed', source_name = 'bill', cost = cost + ?::decimal(38, 12) where basis = 'estimated' and usage_date = ?",
        [round(_money(draw) / 100, 12), day],
    )
    ledgers.deliver(db, [day], "bill", partition=f"lumen/{day}")
    return [day]


def _rule(db, draw, month):
    """Money moves between teams, from this month on, or restated from an earlier one."""
    since = draw.choice([month, month, *(one for one in MONTHS if one <= month)])
    (rules,) = db.execute("update world set rules = rules + 1 returning rules").fetchone()
    before, after = draw.sample(TEAMS[:3], 2)
    db.execute(
        "update charges set team = ?, cost_centre = ?, rule = ? where team = ? and usage_date >= ?::date",
        [after, f"CC-{after}", f"owners/tag@{rules}", before, since],
    )
    return _everything(db)


def _models(db, draw, month):
    """Another version computes everything from nothing, and shares one component otherwise."""
    db.execute("update world set models = models + 1")
    db.execute("update charges set component = component || ' ' || ? where component = 'Storage'", [draw.randint(1, 9)])
    return _everything(db)


def _everything(db) -> list[date]:
    return [
        day for (day,) in db.execute("select usage_date from charges union select usage_date from ledger.postings order by 1").fetchall()
    ]


def _nothing(db, draw, month):
    """A night without change; some compute days again."""
    drawn = _drawn(db, draw)
    return [drawn[0]] if drawn and draw.random() < 0.5 else []


def _threshold(db, draw, month):
    """Another materiality threshold."""
    db.execute("delete from config.policies")
    db.execute("insert into config.policies values ('materiality_threshold', ?, null, null)", [str(draw.choice((0, 1, HIGHEST)))])
    db.execute("update world set rules = rules + 1")
    return _everything(db)


def _close(db, draw, month):
    """The oldest month that is open and over is closed."""
    closed = ledger.closed_periods(db)
    posted = [row[0] for row in db.execute("select distinct accounting_period from ledger.postings order by 1").fetchall()]
    due = [one for one in posted if one not in closed and one < month]
    if due:
        ledgers.close(db, due[0])
    return []


def _reopen(db, draw, month):
    closed = ledger.closed_periods(db)
    if closed:
        ledgers.close(db, draw.choice(closed), "reopened")
    return []


#: What a step may do, and how often.
_ACTS = {
    _deliver: 8,
    _late: 3,
    _correct: 6,
    _credit: 3,
    _estimate: 3,
    _bill_of_estimate: 3,
    _rule: 3,
    _models: 1,
    _nothing: 2,
    _threshold: 2,
    _close: 8,
    _reopen: 2,
}

# A posting in a period that was closed when it was recorded.
_INTO_CLOSED = """
select postings.posting_id, postings.accounting_period
from ledger.postings
asof join ledger.period_events
    on postings.accounting_period = period_events.accounting_period and postings.recorded_at >= period_events.recorded_at
where period_events.event = 'closed'
"""

# What is recorded until a moment is not what stood there at that moment.
_AS_OF = f"""
with known as (
    select snapshots.known_at, {", ".join(f"postings.{name}" for name in KEYS)}, sum(postings.posted_cost) as cost
    from (select distinct known_at from snapshots) as snapshots
    inner join ledger.postings on postings.recorded_at <= snapshots.known_at
    group by all having sum(postings.posted_cost) <> 0
)

(select known_at, {_KEY}, cost from known except all select known_at, {_KEY}, cost from snapshots)
union all
(select known_at, {_KEY}, cost from snapshots except all select known_at, {_KEY}, cost from known)
"""

# A run of which not all is there, or not all of what belongs to it.
_HALVES = """
select coalesce(runs.run_id, postings.run_id), runs.postings, count(postings.run_id)
from ledger.runs full join ledger.postings on runs.run_id = postings.run_id and runs.recorded_at = postings.recorded_at
group by all having runs.postings is distinct from count(postings.run_id)
"""

# Of closed months, what is not as computed: by payer less than the threshold, and all of it in what is collected.
_NOT_SMALL = f"""
with off as (
    select {_KEY}, case when basis = 'invoiced' then billing_period else date_trunc('month', usage_date)::date end as home_period, sum(cost) as cost
    from (
        select {_KEY}, -posted_cost as cost from ledger.postings where bucket is distinct from 'immaterial'
        union all select {_KEY}, posted_cost from intermediate.int_ledger_lines
    )
    group by all having sum(cost) <> 0
),

collected as (
    select usage_date as home_period, billing_period, source_name, billed_by, basis, currency_code, -posted_cost as cost
    from ledger.postings where bucket = 'immaterial'
    union all
    select home_period, billing_period, source_name, billed_by, basis, currency_code, cost from off
)

select 'large', home_period::varchar, team, sum(abs(cost)) from off group by home_period, team, bucket, cost_centre
having sum(abs(cost)) >= $1 or bucket is null or home_period not in (select unnest($2::date[]))
union all
select 'not collected', home_period::varchar, billed_by, sum(cost) from collected
group by home_period, billing_period, source_name, billed_by, basis, currency_code having sum(cost) <> 0
"""


def assert_sound(db) -> None:
    """What holds of a ledger at any moment, whatever was killed: it balances, closed months stand, each run is whole, as-of is what was."""
    ledgers.assert_balanced(db)
    assert db.execute(_INTO_CLOSED).fetchall() == []
    assert db.execute(_AS_OF).fetchall() == []
    assert db.execute(_HALVES).fetchall() == []
    # the days are forgotten with the run that posted them
    (state, unposted) = db.execute("select (select count(*) from meta.build_state), (select count(*) from meta.unposted_days)").fetchone()
    assert not (state and ledger.is_posted(db) and unposted)


def assert_current(db) -> None:
    """The ledger, where all is posted, is what is computed from nothing by every key, but for what is small in closed months."""
    (with_threshold,) = db.execute("select with_threshold from world").fetchone()
    if not with_threshold:
        assert ledgers.unlike_computed(db) == []
    assert db.execute(_NOT_SMALL, [HIGHEST if with_threshold else 0, ledger.closed_periods(db)]).fetchall() == []
