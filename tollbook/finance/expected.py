"""Whether the deliveries that a month needs are in: what each source covers of its days, and what could not be loaded."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

import duckdb

from tollbook.quality.gates import Gates
from tollbook.workspace import Source

#: Tables of which a day without a row is a day that did not arrive, or a quiet one: it is told. Of the others each row stands for itself.
_BY_DAY = ("capacity", "gpu_samples", "holdings", "requests", "resource_usage", "spans", "vendor_usage")
#: Tables whose rows hold for long, or for good: no month needs one of its own.
_STANDING = ("assets", "asset_costs", "contract_commitments", "prices")


def missing(db: duckdb.DuckDBPyConnection, sources: list[Source], gates: Gates, period: date) -> tuple[list[tuple[str, str, bool]], int]:
    """What is missing for ``period``: (source, what, whether the close has to wait), and how many sources were expected.

    Bills are expected until their source is taken out of ``tollbook.yml``, from their first day on; telemetry where it delivered in the
    month or the one before. A bill covers the month with its days, or by being final. A day without telemetry may have been a quiet
    one: it is told, and has to be waited for only where gate ``missing_telemetry_days`` of the source says so.
    """
    found, expected = [], 0
    last = period.replace(day=monthrange(period.year, period.month)[1])
    failed = dict(db.execute(_FAILED, {"period": period}).fetchall())
    covered = {row[0]: row[1:] for row in db.execute(_COVERED, {"period": period}).fetchall()}
    final = {row[0] for row in db.execute(_FINAL, [period]).fetchall()}
    for source in sources:
        first, before, here, absent = covered.get(source.name, (None, 0, 0, []))
        said, blocks = [], False
        if source.name in failed:
            said, blocks = [f"the newest delivery failed: {failed[source.name]}"], True
        # a bill that began later is of later months; telemetry may come and go
        is_expected = source.is_billing and (first is None or first <= last)
        is_expected |= not source.is_billing and source.table not in _STANDING and bool(before or here)
        expected += is_expected
        if is_expected and not here and source.name not in final:
            said.append("nothing is delivered for this month")
            blocks = True
        elif is_expected and absent and source.name not in final and (source.is_billing or source.table in _BY_DAY):
            gate = gates.of(source.name).missing_bill_days if source.is_billing else gates.of(source.name).missing_telemetry_days
            over = gate.error_above is not None and len(absent) > gate.error_above
            if over or (gate.warn_above is not None and len(absent) > gate.warn_above):
                said.append(f"{len(absent)} days without a delivery ({_told(absent)})")
                blocks = blocks or over
        if said:
            found.append((source.name, "; ".join(said), blocks))
    return found, expected


def _told(days: list[date]) -> str:
    shown = ", ".join(f"{day:%Y-%m-%d}" for day in days[:3])
    return shown if len(days) <= 3 else f"{shown} … {days[-1]:%Y-%m-%d}"


# The last attempt at a partition failed, in the week before: what was not tried again was withdrawn. What is current of it is of another
# month, or may be of this one.
_FAILED = """
with attempts as (
    select source_name, partition_key, arg_max(status, loaded_at) as status, arg_max(error, loaded_at) as error, max(loaded_at) as tried_at
    from meta.deliveries where status in ('loaded', 'failed') group by all
),

held as (
    select source_name, partition_key, bool_or(usage_date >= $period::date and usage_date < $period::date + interval 1 month) as is_here
    from meta.deliveries inner join meta.delivery_days using (source_name, delivery_id) where is_current group by all
)

select source_name, string_agg(error, '; ' order by partition_key)
from attempts left join held using (source_name, partition_key)
where status = 'failed' and tried_at >= now()::timestamp - interval 7 day and coalesce(is_here, true)
group by source_name
"""

# Per source: its first day, days of the month before, days of the month, and those of the month that are missing. What has no end lasts on.
_COVERED = """
with endless as (
    select source_name, min(started_at)::date as open_from
    from (
        select source_name, started_at from raw.holdings where ended_at is null
        union all select source_name, started_at from raw.capacity where ended_at is null
        union all select source_name, started_at from raw.gpu_instances where ended_at is null
        union all select source_name, started_at from raw.attachments where ended_at is null
    )
    -- what waits to be started covers no day
    where started_at is not null
    group by source_name
),

days as (
    select source_name, usage_date
    from meta.deliveries inner join meta.delivery_days using (source_name, delivery_id) where is_current
    union
    select source_name, unnest(generate_series(
        greatest(open_from, $period::date - interval 1 month), $period::date + interval 1 month - interval 1 day, interval 1 day
    ))::date
    from endless
)

select
    source_name, min(usage_date),
    count(*) filter (where usage_date >= $period::date - interval 1 month and usage_date < $period::date),
    count(*) filter (where usage_date >= $period::date and usage_date < $period::date + interval 1 month),
    list_sort(list_filter(
        list_transform(
            generate_series($period::date, $period::date + interval 1 month - interval 1 day, interval 1 day), lambda moment: moment::date
        ),
        lambda day: not list_contains(list(usage_date), day)
    ))
from days group by source_name
"""

# Bills of which every part of the month is final.
_FINAL = """
select charges.source_name
from (select distinct source_name, billed_by, billing_period from finance.fct_charges where billing_period = ?) as charges
left join finance.fct_billing_periods as periods using (billed_by, billing_period)
group by charges.source_name
having bool_and(coalesce(periods.state = 'final', false))
"""
