"""OpenAI's organisation usage as canonical ``vendor_usage``: one row per result, of all the usage endpoints alike.

Source: OpenAI API reference, "Administration: Usage" (``GET /v1/organization/usage/{completions, embeddings, images,
audio_speeches, audio_transcriptions, moderations, vector_stores, code_interpreter_sessions}``), and the dashboard's usage
export (the same fields flat).

- ``input_tokens`` includes what came from the cache (``input_cached_tokens``); both are handed on as delivered. The reference
  calls it text input, with ``input_audio_tokens`` beside it.
- ``object`` ("organization.usage.completions.result") says the kind; without it what was counted does.
- ``batch`` true is service tier batch; the tier "default" is standard.
- Images, characters, seconds, bytes and sessions are ``quantity`` with their unit.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import pages
from tollbook.sources.pages import field
from tollbook.workspace import Source

_DIMENSIONS = (
    "object", "organization_id", "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "size", "source",
    "vector_store_id",
)  # fmt: skip
_TIMES = ("start_time", "end_time", "start_time_iso", "end_time_iso")
#: what is counted that is not tokens: the kind it tells, and its unit
_COUNTED = {
    "images": ("images", "Images"),
    "num_images": ("images", "Images"),
    "characters": ("audio_speeches", "Characters"),
    "num_characters": ("audio_speeches", "Characters"),
    "seconds": ("audio_transcriptions", "Seconds"),
    "num_seconds": ("audio_transcriptions", "Seconds"),
    "usage_bytes": ("vector_stores", "Bytes"),
    "num_sessions": ("code_interpreter_sessions", "Sessions"),
    "sessions": ("code_interpreter_sessions", "Sessions"),
}
_PLACED = (
    "object", "organization_id", "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "input_tokens",
    "input_cached_tokens", "output_tokens", "input_audio_tokens", "output_audio_tokens", "num_model_requests", *_COUNTED, *_TIMES,
)  # fmt: skip


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file`` as ``delivery``; return the SELECT that gives ``vendor_usage`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file, or a bucket told twice with different counts.
    """
    source.refuse_other_options("pull")
    pages.open_results(db, file, _DIMENSIONS)
    kinds = " ".join(f"when {field(name)} is not null then '{kind}'" for name, (kind, _) in _COUNTED.items())
    units = " ".join(f"when {field(name)} is not null then '{unit}'" for name, (_, unit) in _COUNTED.items())
    return f"""
select
    starts as started_at, ends as ended_at, 'OpenAI' as provider,
    {field("organization_id")} as account, {field("project_id")} as project, {field("api_key_id")} as api_key,
    {field("user_id")} as user_name,
    coalesce(
        nullif(regexp_extract({field("object")}, 'usage[.]([a-z_]+)[.]', 1), ''),
        case {kinds} when {field("output_tokens")} is not null then 'completions' end
    ) as kind,
    {field("model")} as model,
    case
        when lower({field("batch")}) = 'true' then 'batch'
        when lower({field("service_tier")}) = 'default' then 'standard'
        else lower({field("service_tier")})
    end as service_tier,
    {field("input_tokens")} as input_tokens, {field("input_cached_tokens")} as cached_input_tokens,
    {field("output_tokens")} as output_tokens,
    {field("input_audio_tokens")} as input_audio_tokens, {field("output_audio_tokens")} as output_audio_tokens,
    coalesce({", ".join(field(name) for name in _COUNTED)}) as quantity, case {units} end as unit,
    {field("num_model_requests")} as request_count,
    {pages.rest(*_PLACED)} as other_columns,
    file_row
from delivery
-- an export writes a day without use as a row of its times
where result->>'$.object' is not null or {pages.rest(*_TIMES)} is not null
"""
