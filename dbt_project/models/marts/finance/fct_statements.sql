-- Statements as they were issued: one row per month, recipient and version. The newest version of a month counts; those of cost centres and
-- buckets add up to everything charged in it, those of tenants show part of the same money once more. `tollbook statements` writes them.
{{ config(materialized='view') }}

select
    statement_id,
    accounting_period,
    version,
    version = max(version) over (partition by accounting_period, recipient_kind, recipient) as is_newest,
    recipient_kind,
    recipient,
    mode,
    issued_at,
    known_at,
    locale,
    charged_cost,
    stated_amount,
    currency_code,
    content_hash,
    folder
from {{ source('ledger', 'statements') }}
