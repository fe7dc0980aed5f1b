-- What recipients say against lines of their statements: one row per dispute with its line and what it stands at. It moves no money itself.
{{ config(materialized='view') }}

with said as (
    select
        dispute_id,
        statement_id,
        line_number,
        max(disputed_amount) filter (where event = 'raised') as disputed_amount,
        max_by(event, recorded_at) as status,
        min(recorded_at) as raised_at,
        min_by(said_by, recorded_at) as raised_by,
        min_by(note, recorded_at) as note,
        count(*) filter (where event = 'answered') as answer_count,
        max(recorded_at) filter (where event in ('accepted', 'rejected')) as decided_at,
        max(said_by) filter (where event in ('accepted', 'rejected')) as decided_by,
        max_by(note, recorded_at) filter (where event <> 'raised') as last_note
    from {{ source('ledger', 'disputes') }}
    group by dispute_id, statement_id, line_number
)

select
    said.dispute_id,
    said.statement_id,
    said.line_number,
    statements.accounting_period,
    statements.recipient_kind,
    statements.recipient,
    lines.section,
    lines.usage_period,
    lines.billed_by,
    lines.component,
    lines.service_name,
    lines.gpu_model,
    lines.model,
    lines.project,
    lines.stated_amount,
    said.disputed_amount,
    lines.currency_code,
    said.status,
    said.raised_at,
    said.raised_by,
    said.note,
    said.answer_count,
    said.decided_at,
    said.decided_by,
    said.last_note
from said
inner join {{ source('ledger', 'statements') }} as statements on said.statement_id = statements.statement_id
inner join {{ source('ledger', 'statement_lines') }} as lines
    on said.statement_id = lines.statement_id and said.line_number = lines.line_number
