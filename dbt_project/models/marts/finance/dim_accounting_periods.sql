-- The months of the ledger: one row per accounting period that was posted in, closed or reopened. What closed it last stays said after it
-- was reopened.
{{ config(materialized='view') }}

with events as (
    select
        accounting_period,
        max_by(event, recorded_at) as newest_event,
        max(case when event = 'closed' then recorded_at end) as closed_at,
        max_by(approved_by, case when event = 'closed' then recorded_at end) as approved_by,
        max_by(content_hash, case when event = 'closed' then recorded_at end) as content_hash,
        max_by(folder is null, case when event = 'closed' then recorded_at end) as is_opening,
        sum(case when event = 'closed' then 1 else 0 end) as times_closed
    from {{ source('ledger', 'period_events') }}
    group by accounting_period
),

charged as (
    select accounting_period, sum(case when bucket is not null then posted_cost else 0 end)::decimal(38, 12) as charged_cost
    from {{ source('ledger', 'postings') }}
    group by accounting_period
)

select
    coalesce(charged.accounting_period, events.accounting_period) as accounting_period,
    case when events.newest_event = 'closed' then 'closed' else 'open' end as status,
    events.closed_at,
    events.approved_by,
    coalesce(events.is_opening, false) as is_opening,
    coalesce(events.times_closed, 0)::bigint as times_closed,
    coalesce(charged.charged_cost, 0)::decimal(38, 12) as charged_cost,
    workspace.currency_code,
    events.content_hash
from charged
full join events on charged.accounting_period = events.accounting_period
cross join {{ source('config', 'workspace') }} as workspace
