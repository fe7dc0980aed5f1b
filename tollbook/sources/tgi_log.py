"""The log of Hugging Face's Text Generation Inference as canonical ``requests``: one row per request that it finished or refused.

Source: huggingface/text-generation-inference, ``router/src/server.rs``: lines as printed, or ``--json-output``.

- A line is written when the request ends: it came ``total_time`` before. ``inference_time`` is reading and writing together.
- Generated tokens are stated by newer routers; else they are ``inference_time`` over ``time_per_token``, which is how the router made the
  latter. Prompt tokens are only known where the router states them.
- The log does not say the model: option ``model``, and likewise ``version``, ``variant``, ``holding``, ``team``, ``tenant``, ``feature``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import request_terms, server_lines
from tollbook.sources.request_terms import columns
from tollbook.workspace import Source

_ROUTES = "generate|generate_stream|compat_generate|completions|chat_completions|vertex_compatibility|sagemaker_compatibility"

_MACROS = r"""
create or replace temp macro tgi_ms(t) as case
    when t like '%ms' then try_cast(replace(t, 'ms', '') as double)
    when t like '%µs' then try_cast(replace(t, 'µs', '') as double) / 1000
    when t like '%ns' then try_cast(replace(t, 'ns', '') as double) / 1000000
    when t like '%s' then try_cast(replace(t, 's', '') as double) * 1000
end
"""

# what may stand in a text of the client's stands before these
_REQUESTS = """
create or replace temp table tgi_requests as
select
    file_row, {at} as told_at, {level} as level, {route} as route, {trace} as trace_id,
    {total} as total_time, {queue} as queue_time, {inference} as inference_time, {per_token} as time_per_token,
    {generated} as generated_tokens, {prompt} as prompt_tokens, {message} as message
from server_lines
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options(*server_lines.STATED)
    stated = server_lines.stated(source)
    request_terms.prepare(db)
    db.execute(_MACROS)
    server_lines.open_lines(db, file)
    db.execute(
        _REQUESTS.format(
            at="coalesce(record->>'$.timestamp', nullif(regexp_extract(line, '^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z)', 1), ''))",
            level="coalesce(record->>'$.level', nullif(regexp_extract(line, '^[^ ]+ +(INFO|WARN|ERROR) ', 1), ''))",
            route=f"coalesce(record->>'$.span.name', nullif(regexp_extract(line, '[ :]({_ROUTES})[{{]', 1), ''))",
            trace="coalesce(record->>'$.spans[0].trace_id', nullif(regexp_extract(line, 'trace_id=([0-9a-f]{32})', 1), ''))",
            message="coalesce(record->>'$.message', regexp_extract(line, ': ([A-Z][^:]*)$', 1))",
            **{name: _told(key) for name, key in _KEYS.items()},
        )
    )
    parts = columns(
        requested_at="coalesce(strftime(req_time(told_at) - to_microseconds(coalesce((tgi_ms(total_time) * 1000)::bigint, 0)), '%Y-%m-%dT%H:%M:%S.%fZ'), told_at)",
        kind="case when route = 'chat_completions' then 'chat' else 'completion' end",
        trace_id="nullif(trace_id, '')",
        input_tokens="req_count(prompt_tokens)",
        output_tokens="coalesce(req_count(generated_tokens), round(tgi_ms(inference_time) / nullif(tgi_ms(time_per_token), 0))::bigint)",
        queue_ms="tgi_ms(queue_time)",
        latency_ms="tgi_ms(total_time)",
        status="case when level = 'ERROR' then 'error' else 'ok' end",
        **stated,
    )
    is_request = f"regexp_full_match(route, '{_ROUTES}') and (total_time is not null or level = 'ERROR')"
    return f"select {parts}, file_row from tgi_requests where {is_request}"


_KEYS = {
    "total": "total_time",
    "queue": "queue_time",
    "inference": "inference_time",
    "per_token": "time_per_token",
    "generated": "generated_tokens",
    "prompt": "prompt_tokens",
}


def _told(key: str) -> str:
    """The SQL of what a line says of the key: the last, as the parameters before it are the client's."""
    return f"coalesce(record->>'$.span.{key}', nullif(regexp_extract(line, '.*[ {{]{key}=\"([^\"]*)\"', 1), ''))"
