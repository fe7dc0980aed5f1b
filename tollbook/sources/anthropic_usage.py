"""Anthropic's messages usage report as canonical ``vendor_usage``: one row per result.

Source: Claude API reference, "Admin API: Get Messages Usage Report" (``GET /v1/organizations/usage_report/messages``) and the
guide "Usage and Cost API".

- ``uncached_input_tokens`` excludes what was read from the cache (``cache_read_input_tokens``): canonical input tokens are the
  two together. Cache writes (``cache_creation``: 5 minutes, 1 hour) are neither.
- ``server_tool_use.web_search_requests`` is the quantity, in searches.
- ``workspace_id`` null is the default workspace, ``api_key_id`` null the console. Code execution is not in this report.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import pages
from tollbook.sources.pages import field
from tollbook.workspace import Source

_DIMENSIONS = (
    "workspace_id", "api_key_id", "account_id", "service_account_id", "model", "service_tier", "context_window", "inference_geo", "speed",
)  # fmt: skip
_PLACED = (
    "workspace_id", "api_key_id", "account_id", "model", "service_tier", "context_window", "inference_geo", "uncached_input_tokens",
    "cache_read_input_tokens", "cache_creation", "output_tokens", "starting_at", "ending_at",
)  # fmt: skip


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``vendor_usage`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file, or a bucket told twice with different counts.
    """
    source.refuse_other_options("pull")
    pages.open_results(db, file, _DIMENSIONS)
    searches = field("server_tool_use", "web_search_requests")
    return f"""
select
    starts as started_at, ends as ended_at, 'Anthropic' as provider, 'messages' as kind,
    {field("workspace_id")} as project, {field("api_key_id")} as api_key, {field("account_id")} as user_name,
    {field("model")} as model, lower({field("service_tier")}) as service_tier, {field("context_window")} as context_tier,
    nullif({field("inference_geo")}, 'not_available') as region,
    {_sum(field("uncached_input_tokens"), field("cache_read_input_tokens"))} as input_tokens,
    {field("cache_read_input_tokens")} as cached_input_tokens,
    {field("cache_creation", "ephemeral_5m_input_tokens")} as cache_write_5m_tokens,
    {field("cache_creation", "ephemeral_1h_input_tokens")} as cache_write_1h_tokens,
    {field("output_tokens")} as output_tokens,
    {searches} as quantity, case when {searches} is not null then 'Searches' end as unit,
    {pages.rest(*_PLACED)} as other_columns,
    file_row
from delivery
"""


def _sum(one: str, other: str) -> str:
    """The SQL of two counts' sum as text; of a count that is no number that text, so that it is seen."""
    return (
        f"case when {one} is not null and try_cast({one} as bigint) is null then {one}"
        f" when {other} is not null and try_cast({other} as bigint) is null then {other}"
        f" when {one} is null and {other} is null then null"
        f" else (coalesce(try_cast({one} as hugeint), 0) + coalesce(try_cast({other} as hugeint), 0))::varchar end"
    )
