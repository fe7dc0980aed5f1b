"""Anthropic's cost report as canonical ``billing_lines``: one line per result, in dollars.

Source: Claude API reference, "Admin API: Get Cost Report" (``GET /v1/organizations/cost_report``) and the guide "Usage and
Cost API".

- ``amount`` is a decimal text in the currency's smallest unit: "123.78912" in USD is 1.2378912 dollars. The point is moved in
  the text, so no digit is lost. The report is in USD only; a result in another currency is quarantined.
- Model, token type, tier and context window are there when grouped by description; ``workspace_id`` null is the default
  workspace. Priority tier is not in this report (it is in the usage report).
- The report knows neither list prices nor commitments nor invoices; the billing period is the UTC month.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import pages
from tollbook.sources.pages import field
from tollbook.workspace import Source

_DIMENSIONS = (
    "workspace_id", "description", "cost_type", "model", "token_type", "service_tier", "context_window", "inference_geo", "speed",
)  # fmt: skip
_PLACED = (
    "amount", "currency", "description", "model", "token_type", "service_tier", "context_window", "inference_geo", "workspace_id",
    "starting_at", "ending_at",
)  # fmt: skip
_TOKEN_TYPES = {
    "uncached_input_tokens": "input",
    "cache_read_input_tokens": "cached_input",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
    "output_tokens": "output",
}


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``billing_lines`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file, or a bucket told twice with different amounts.
    """
    source.refuse_other_options("pull")
    pages.open_results(db, file, _DIMENSIONS)
    dollars = _hundredth(field("amount"))
    token_types = " ".join(f"when '{name}' then '{kind}'" for name, kind in _TOKEN_TYPES.items())
    region = f"nullif({field('inference_geo')}, 'not_available')"
    price_details = pages.details(
        ModelId=field("model"),
        TokenType=f"case {field('token_type')} {token_types} else {field('token_type')} end",
        ServiceTier=field("service_tier"),
        ContextWindow=field("context_window"),
        InferenceGeo=region,
    )
    return f"""
select
    starts as charge_period_start, ends as charge_period_end,
    {pages.month("starts")} as billing_period_start, {pages.month("starts", 1)} as billing_period_end,
    'Usage' as charge_category, 'Usage-Based' as charge_frequency, {field("description")} as charge_description,
    {dollars} as billed_cost, {dollars} as effective_cost, 'no commitment: as billed' as effective_cost_origin,
    'USD' as billing_currency,
    case when {field("currency")} is null then 'assumed' else 'delivered' end as currency_origin,
    'Standard' as pricing_category,
    'Anthropic' as provider_name, 'Anthropic' as publisher_name, 'Anthropic' as invoice_issuer_name,
    'Claude API' as service_name, 'AI and Machine Learning' as service_category, 'Generative AI' as service_subcategory,
    {field("description")} as sku_id, {price_details} as sku_price_details,
    {region} as region_id, {field("workspace_id")} as sub_account_id,
    {pages.rest(*_PLACED)} as other_columns,
    case when upper({field("currency")}) <> 'USD' then
        {{'column_name': 'billing_currency', 'value': {field("currency")}, 'reason': 'is not USD: how many of its smallest units make one is not known'}}
    end as cast_fault,
    file_row
from delivery
"""


def _hundredth(amount: str) -> str:
    """The SQL of a number's text with the decimal point moved two places; other text comes back as it was."""
    return (
        f"case when regexp_full_match({amount}, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)') then {amount} || 'e-2'"
        f" when regexp_full_match({amount}, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)[eE][+-]?[0-9]{{1,3}}')"
        f" then split_part(lower({amount}), 'e', 1) || 'e' || (split_part(lower({amount}), 'e', 2)::integer - 2)"
        f" else {amount} end"
    )
