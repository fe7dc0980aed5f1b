"""Statements for tests that read them: filled from postings, grouped as the ledger's tables say."""

from __future__ import annotations

from datetime import date, datetime

import duckdb

#: Who a statement is for, by kind; tenants see part of the same money.
_RECIPIENTS = {
    "cost_centre": "case when bucket = 'allocated' then cost_centre end",
    "bucket": "nullif(bucket, 'allocated')",
    "tenant": "tenant",
}
_LINES = """
insert into ledger.statement_lines by name
select
    strftime($period::date, '%Y-%m') || '/' || recipient || '/' || $version as statement_id,
    row_number() over (partition by recipient order by section, usage_period, billed_by, component, service_name, gpu_model, model, project, reason)
        ::integer as line_number,
    * exclude (recipient), charged_cost::decimal(38, 2) as stated_amount
from (
    select
        {recipient} as recipient,
        case when date_trunc('month', usage_date) = accounting_period and reason not like 'accrual%' then 'charges' else 'adjustments' end as section,
        date_trunc('month', usage_date)::date as usage_period, billed_by, component, service_name, gpu_model, model, project,
        case when section <> 'charges' then reason end as reason,
        sum(posted_cost) as charged_cost, currency_code
    from ledger.postings
    where bucket is not null and accounting_period = $period and recorded_at <= $known_at and {recipient} is not null
    group by all
    having sum(posted_cost) <> 0
)
"""
_STATEMENTS = """
insert into ledger.statements by name
select
    statement_id, $period::date as accounting_period, $version::integer as version, $kind as recipient_kind,
    split_part(statement_id, '/', 2) as recipient, 'showback' as mode, $known_at::timestamp as issued_at, $known_at::timestamp as known_at,
    'en_GB' as locale, any_value(currency_code) as currency_code, sum(charged_cost) as charged_cost, sum(stated_amount) as stated_amount
from ledger.statement_lines
where split_part(statement_id, '/', 1) = strftime($period::date, '%Y-%m') and split_part(statement_id, '/', 3) = $version
    and statement_id not in (select statement_id from ledger.statements)
group by statement_id
"""


def state(db: duckdb.DuckDBPyConnection, period: date, known_at: datetime, version: int = 1) -> None:
    """Fill the statements of a month as known at a moment: by cost centre, bucket and tenant. Who pays has a cost centre."""
    values = {"period": period, "known_at": known_at, "version": str(version)}
    for kind, recipient in _RECIPIENTS.items():
        db.execute(_LINES.format(recipient=recipient), values)
        db.execute(_STATEMENTS, values | {"kind": kind})
