"""Restatement: what chargeback was known to be at two moments, and why it is not the same, cause by cause, to the last digit.

What was known at a moment is what was recorded until then, so the difference of two moments is what was recorded between them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

import duckdb

from tollbook.errors import TollbookError
from tollbook.finance.as_of import DIMENSIONS
from tollbook.finance.disputes import STANDING, in_coins
from tollbook.finance.ledger import BILLS
from tollbook.finance.moments import Moment
from tollbook.warehouse.records import records


@dataclass(frozen=True)
class Restatement:
    """What changed between two moments; amounts exact, every row a dict with ``usage_period`` and ``currency_code``.

    lines: one per payer: known_before, known_after, difference.
    changes: one per payer, reason and accounting_period: posted_cost. By payer they add up to the line's difference.
    causes: one per reason: posted_cost, charged_more and charged_less (over payers), accounting_periods, runs, postings.
    runs: one per reason and run: recorded_at, posted_cost, postings, whether rules or Tollbook's models had changed.
    deliveries: one per reason and delivery that was loaded for the run, of a source and for a day that it posted.
    rules: one per reason and rule that gave way to another version, with the money and the fields that changed.
    disputes: on lines of these months, raised or decided in between, followed by a posting on their line, or accepted and not followed yet.
    periods: closed or reopened in between.
    """

    since: Moment
    until: Moment
    period: date | None
    by: str
    lines: list[dict]
    changes: list[dict]
    causes: list[dict]
    runs: list[dict]
    deliveries: list[dict]
    rules: list[dict]
    disputes: list[dict]
    periods: list[dict]


def restate(db: duckdb.DuckDBPyConnection, since: Moment, until: Moment, period: date | None = None, by: str = "team") -> Restatement:
    """What is known at ``until`` and was not at ``since``, of one month of usage or of all, by ``as_of.DIMENSIONS``.

    Raises:
        TollbookError: ``since`` is after ``until``.
    """
    if since.at > until.at:
        raise TollbookError(f"{since} is after {until}: name the earlier moment first.")
    keys = ", ".join(DIMENSIONS[by])
    given = {"since": since.at, "until": until.at, "period": period}
    seen = _SEEN.format(keys=", ".join(dict.fromkeys((*DIMENSIONS[by], "bucket"))))

    order = f"{'bucket is distinct from $$allocated$$, ' if 'bucket' in DIMENSIONS[by] else ''}{keys}"

    def ask(query: str) -> list[dict]:
        return records(db, f"{seen} {query.format(keys=keys, order=order)}", given)

    rules = [_told(row) for row in ask(_RULES)]
    return Restatement(
        since,
        until,
        period,
        by,
        lines=ask(_LINES),
        changes=ask(_CHANGES),
        causes=ask(_CAUSES),
        runs=ask(_RUNS),
        deliveries=ask(_DELIVERIES),
        rules=rules,
        disputes=in_coins(records(db, _DISPUTES, given)),
        periods=records(db, _PERIODS, {"since": since.at, "until": until.at}),
    )


def adjustments(db: duckdb.DuckDBPyConnection, period: date, known_at: Moment | None = None) -> list[dict]:
    """What was posted in a month for usage of other months: one row per month of usage, payer, component and reason.

    ``period`` is the first of the month; with ``known_at``, only what was recorded until then.
    """
    return records(db, _ADJUSTMENTS, {"period": period, "known_at": known_at.at if known_at else None})


def _told(row: dict) -> dict:
    """A rule that gave way, with the fields in which its versions differ."""
    old, new = (json.loads(row.pop(name) or "{}") for name in ("old_content", "new_content"))
    fields = {name: (old.get(name), new.get(name)) for name in (old | new) if old and new and old.get(name) != new.get(name)}
    return row | {"fields": fields}


# the charges recorded until the later moment; those after the earlier one are what changed
_SEEN = """
with seen as (
    select
        date_trunc('month', usage_date)::date as usage_period, usage_date, source_name, {keys}, currency_code, run_id, recorded_at,
        accounting_period, reason, rule, recorded_at > $since as is_change, posted_cost
    from ledger.postings
    where bucket is not null and recorded_at <= $until
        and ($period is null or date_trunc('month', usage_date) = $period::date)
)
"""

_LINES = """
select
    usage_period, {keys}, currency_code,
    coalesce(sum(posted_cost) filter (where not is_change), 0)::decimal(38, 12) as known_before,
    sum(posted_cost)::decimal(38, 12) as known_after,
    coalesce(sum(posted_cost) filter (where is_change), 0)::decimal(38, 12) as difference,
    count(*) filter (where is_change) as postings
from seen group by usage_period, {keys}, currency_code order by usage_period, {order}, currency_code
"""

_CHANGES = """
select usage_period, {keys}, reason, accounting_period, sum(posted_cost)::decimal(38, 12) as posted_cost, count(*) as postings, currency_code
from seen where is_change group by usage_period, {keys}, reason, accounting_period, currency_code
order by usage_period, {order}, reason, accounting_period, currency_code
"""

_CAUSES = """
, payers as (
    select usage_period, reason, {keys}, currency_code, sum(posted_cost) as posted_cost from seen where is_change group by all
),

moved as (
    select usage_period, reason, currency_code,
        coalesce(sum(posted_cost) filter (where posted_cost > 0), 0)::decimal(38, 12) as charged_more,
        coalesce(sum(posted_cost) filter (where posted_cost < 0), 0)::decimal(38, 12) as charged_less
    from payers group by all
)

select
    usage_period, reason, sum(posted_cost)::decimal(38, 12) as posted_cost, any_value(charged_more) as charged_more,
    any_value(charged_less) as charged_less, list_sort(list(distinct accounting_period)) as accounting_periods,
    count(distinct run_id) as runs, count(*) as postings, currency_code
from seen inner join moved using (usage_period, reason, currency_code)
where is_change group by usage_period, reason, currency_code order by usage_period, reason, currency_code
"""

_RUNS = """
, built as (
    select runs.*, earlier.config_hash as earlier_config, earlier.models_hash as earlier_models
    from ledger.runs as runs
    asof left join ledger.runs as earlier on runs.recorded_at > earlier.recorded_at
)

select
    usage_period, reason, seen.run_id, seen.recorded_at, sum(posted_cost)::decimal(38, 12) as posted_cost, count(*) as postings,
    any_value(config_hash <> earlier_config) as rules_changed, any_value(models_hash <> earlier_models) as models_changed, currency_code
from seen left join built on seen.run_id = built.run_id and seen.recorded_at = built.recorded_at
where is_change group by usage_period, reason, seen.run_id, seen.recorded_at, currency_code
order by usage_period, reason, seen.recorded_at, currency_code
"""

# A run posts what was built; behind it is what was loaded between that build and the last one that was posted. A bill decides its own
# money, any other delivery that of all bills, on its days and on those of the deliveries whose place it took; prices are of no day.
_DELIVERIES = f"""
, posted as (
    select distinct usage_period, reason, run_id, recorded_at, usage_date, source_name from seen
    where is_change and reason not in ('rule_change', 'method_change', 'accrual', 'accrual_reversal')
),

loaded as (
    select runs.run_id, runs.recorded_at, deliveries.*
    from ledger.runs as runs
    inner join meta.deliveries
        on deliveries.status = 'loaded' and deliveries.loaded_at <= runs.built_at and deliveries.loaded_at > coalesce(
            (select max(earlier.built_at) from ledger.runs as earlier where earlier.built_at < runs.built_at), '-infinity'
        )
    where (runs.run_id, runs.recorded_at) in (select (run_id, recorded_at) from posted)
),

covered as (
    select distinct
        loaded.run_id, loaded.recorded_at, loaded.source_name, loaded.delivery_id, delivery_days.usage_date, loaded.table_name,
        loaded.file_names, loaded.loaded_at, loaded.delivered_at, loaded.table_name in {BILLS} as is_bill,
        bool_or(earlier.loaded_at < loaded.loaded_at) over (
            partition by loaded.run_id, loaded.recorded_at, loaded.source_name, loaded.delivery_id
        ) as is_replacement
    from loaded
    inner join meta.deliveries as earlier
        on loaded.source_name = earlier.source_name and loaded.partition_key = earlier.partition_key
        and earlier.status = 'loaded' and earlier.loaded_at <= loaded.loaded_at
    left join meta.delivery_days on earlier.source_name = delivery_days.source_name and earlier.delivery_id = delivery_days.delivery_id
)

select
    posted.usage_period, posted.reason, posted.run_id, covered.source_name, covered.delivery_id,
    any_value(covered.table_name) as table_name, any_value(array_to_string(covered.file_names, ', ')) as file_names,
    any_value(covered.loaded_at) as loaded_at, any_value(covered.delivered_at) as delivered_at,
    bool_or(covered.is_replacement) as is_replacement
from posted
inner join covered
    on posted.run_id = covered.run_id and posted.recorded_at = covered.recorded_at
    and (posted.usage_date = covered.usage_date or covered.table_name = 'prices')
    and (posted.source_name = covered.source_name or not covered.is_bill)
group by posted.usage_period, posted.reason, posted.run_id, covered.source_name, covered.delivery_id
order by posted.usage_period, posted.reason, any_value(not covered.is_bill), any_value(covered.loaded_at), covered.source_name,
    covered.delivery_id
"""

_RULES = """
, decided as (
    select usage_period, reason, currency_code, rule, regexp_extract(rule, '^(.*)@[0-9]+$', 1) as rule_name,
        regexp_extract(rule, '@([0-9]+)$', 1) as rule_version, sum(posted_cost)::decimal(38, 12) as posted_cost
    from seen where is_change and rule similar to '.*/.*@[0-9]+' group by all having sum(posted_cost) <> 0
),

versions as (
    select
        usage_period, reason, currency_code, rule_name,
        string_agg(rule_version, ', ' order by rule_version::int) filter (where posted_cost < 0) as old_versions,
        string_agg(rule_version, ', ' order by rule_version::int) filter (where posted_cost > 0) as new_versions,
        coalesce(sum(posted_cost) filter (where posted_cost < 0), 0)::decimal(38, 12) as taken_cost,
        coalesce(sum(posted_cost) filter (where posted_cost > 0), 0)::decimal(38, 12) as given_cost,
        arg_max(rule, rule_version::int) filter (where posted_cost < 0) as old_rule,
        arg_max(rule, rule_version::int) filter (where posted_cost > 0) as new_rule
    from decided group by all
)

select versions.* exclude (old_rule, new_rule), old.content as old_content, new.content as new_content
from versions
left join meta.rule_versions as old on versions.old_rule = old.table_name || '/' || old.rule_key || '@' || old.rule_version
left join meta.rule_versions as new on versions.new_rule = new.table_name || '/' || new.rule_key || '@' || new.rule_version
where reason = 'rule_change' or (old_versions is not null and new_versions is not null)
order by usage_period, reason, rule_name, currency_code
"""

_DISPUTES = f"""
with disputed as (
    select *, case when status = 'accepted' then decided_at else raised_at end as since_at
    from ({STANDING}) where $period is null or usage_period = $period::date
),

followed as (
    select
        disputed.dispute_id, (sum(postings.posted_cost) filter (postings.recorded_at > $since))::decimal(38, 12) as posted_since,
        list_sort(list(distinct postings.reason) filter (postings.recorded_at > $since)) as reasons,
        list_sort(list(distinct postings.run_id) filter (postings.recorded_at > $since)) as run_ids
    from disputed
    inner join ledger.postings as postings
        on postings.recorded_at > disputed.since_at and postings.recorded_at <= $until
        and postings.bucket is not null and date_trunc('month', postings.usage_date) = disputed.usage_period
        and case disputed.recipient_kind
            when 'tenant' then postings.tenant
            when 'bucket' then postings.bucket
            else case when postings.bucket = 'allocated' then coalesce(postings.cost_centre, postings.team) end
        end = disputed.recipient
        and postings.billed_by is not distinct from disputed.billed_by and postings.component is not distinct from disputed.component
        and postings.service_name is not distinct from disputed.service_name and postings.gpu_model is not distinct from disputed.gpu_model
        and postings.model is not distinct from disputed.model and postings.project is not distinct from disputed.project
    group by disputed.dispute_id
)

select disputed.* exclude (since_at), followed.posted_since, followed.reasons, followed.run_ids
from disputed left join followed using (dispute_id)
where disputed.raised_at > $since or disputed.last_at > $since or followed.run_ids is not null
    -- accepted, and nothing has come of it to this day
    or (disputed.status = 'accepted' and followed.dispute_id is null)
order by disputed.raised_at
"""

_PERIODS = """
select accounting_period, event, recorded_at, approved_by, reason from ledger.period_events
where recorded_at > $since and recorded_at <= $until order by recorded_at
"""

_ADJUSTMENTS = """
select
    date_trunc('month', usage_date)::date as usage_period, team, cost_centre, bucket, component, reason,
    sum(posted_cost)::decimal(38, 12) as posted_cost, count(*) as postings, currency_code
from ledger.postings
where bucket is not null and accounting_period = $period::date and date_trunc('month', usage_date) <> $period::date
    and ($known_at is null or recorded_at <= $known_at::timestamp)
group by all order by usage_period, team, component, reason, cost_centre, bucket, currency_code
"""
