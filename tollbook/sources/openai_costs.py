"""OpenAI's organisation costs as canonical ``billing_lines``: one line per result, in the currency's main unit.

Source: OpenAI API reference, "Administration: Usage, Costs" (``GET /v1/organization/costs``), and the dashboard's cost
export (the same fields flat: ``amount_value``, ``amount_currency``).

- Buckets are UTC days. ``amount.value`` is a JSON number, or a text of a number; both keep every digit.
- ``line_item`` is the only place where the model is named: "gpt-4o-2024-08-06, cached input", "gpt-audio-mini audio, input",
  "priority | gpt-5, output, long context". What is no model ("web search tool calls") has none.
- The report knows neither list prices nor commitments nor invoices; the billing period is the UTC month.
- Fields appear as grouped by (``project_id``, ``line_item``, ``api_key_id``); ``quantity`` counts tokens on token lines.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import pages
from tollbook.sources.pages import field
from tollbook.sources.typing import text
from tollbook.workspace import Source

_DIMENSIONS = ("organization_id", "project_id", "api_key_id", "user_id", "line_item")
_PLACED = (
    "object", "amount", "amount_value", "amount_currency", "quantity", "line_item", "project_id", "project_name",
    "organization_id", "organization_name", "start_time", "end_time", "start_time_iso", "end_time_iso",
)  # fmt: skip

_ITEM = field("line_item")
_TIER = f"lower(nullif(regexp_extract({_ITEM}, '(?i)^(priority|flex|batch|scale|standard)\\s*\\|', 1), ''))"
_NAMED = rf"regexp_replace({_ITEM}, '^[^|]*\|\s*', '')"
_HEAD = f"trim(split_part({_NAMED}, ',', 1))"
_MODALITY = f"lower(nullif(regexp_extract({_HEAD}, '(?i) (text|audio|image|video)$', 1), ''))"
# without a comma only what looks like a model's id is one
_MODEL = (
    f"case when contains({_NAMED}, ',') or regexp_full_match({_NAMED}, '(?i)(gpt|o[0-9]|dall|tts|whisper|text-embedding).*|\\S+-\\S+')"
    f" then nullif(regexp_replace({_HEAD}, '(?i) (text|audio|image|video)$', ''), '') end"
)
_DIRECTION = f"lower(nullif(regexp_extract({_NAMED}, '(?i),\\s*((?:(?:audio|image|text|video) )?(?:cached )?(?:input|output))\\b', 1), ''))"
_TOKEN_TYPE = (
    f"case when {_DIRECTION} is not null then replace("
    f"case when {_MODALITY} in ('audio', 'image', 'video') then {_MODALITY} || ' ' || {_DIRECTION} else regexp_replace({_DIRECTION}, '^text ', '') end,"
    " ' ', '_') end"
)
_BATCH = f"case when regexp_matches({_NAMED}, '(?i)[,(]\\s*batch\\b') then 'batch' end"
_CONTEXT = f"case when regexp_matches({_NAMED}, '(?i),\\s*long context') then 'long' end"


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    ``currency`` is taken where a result names none, and marked so.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file, or a bucket told twice with different amounts.
    """
    source.refuse_other_options("pull")
    pages.open_results(db, file, _DIMENSIONS)
    amount = f"coalesce({field('amount', 'value')}, {field('amount_value')})"
    delivered_currency = f"upper(coalesce({field('amount', 'currency')}, {field('amount_currency')}))"
    price_details = pages.details(ModelId=_MODEL, TokenType=_TOKEN_TYPE, ServiceTier=f"coalesce({_TIER}, {_BATCH})", ContextTier=_CONTEXT)
    return f"""
select
    starts as charge_period_start, ends as charge_period_end,
    {pages.month("starts")} as billing_period_start, {pages.month("starts", 1)} as billing_period_end,
    'Usage' as charge_category, 'Usage-Based' as charge_frequency, {_ITEM} as charge_description,
    {amount} as billed_cost, {amount} as effective_cost, 'no commitment: as billed' as effective_cost_origin,
    coalesce({delivered_currency}, {text(currency)}) as billing_currency,
    case when {delivered_currency} is null then 'assumed' else 'delivered' end as currency_origin,
    'Standard' as pricing_category,
    {field("quantity")} as consumed_quantity,
    case when {field("quantity")} is not null and {_DIRECTION} is not null then 'Tokens' end as consumed_unit,
    'OpenAI' as provider_name, 'OpenAI' as publisher_name, 'OpenAI' as invoice_issuer_name,
    'OpenAI API' as service_name, 'AI and Machine Learning' as service_category, 'Generative AI' as service_subcategory,
    {_ITEM} as sku_id, {price_details} as sku_price_details,
    {field("organization_id")} as billing_account_id, {field("organization_name")} as billing_account_name,
    {field("project_id")} as sub_account_id, {field("project_name")} as sub_account_name,
    {pages.rest(*_PLACED)} as other_columns,
    file_row
from delivery
-- an export writes a day without cost as a row of its times
where result->>'$.object' is not null or {pages.rest(*_PLACED[-4:])} is not null
"""
