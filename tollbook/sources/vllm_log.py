r"""The log of vLLM's server as canonical ``requests``: one row per request that it received.

Source: vllm-project/vllm, ``vllm/entrypoints/logger.py`` (``--enable-log-requests``, ``--enable-log-outputs``) and the engine's "Finished",
"Aborted" lines; as printed, or JSON lines with ``message`` and ``timestamp``.

- **Prefer vLLM's spans** (``--otlp-traces-endpoint``, read by ``otel_genai``): they have tokens, queue, prefill and decode of each request.
  The log has a second's resolution and counts no tokens itself: they are counted from lists of token ids where it prints these whole (a
  list as long as ``max_log_len``, the server's own setting, was cut and is not counted).
- Printed lines have neither year nor zone: option ``year`` (else the one in the file's path) and ``timezone`` (UTC).
- Prompts and outputs are not kept. The log does not say the model: option ``model``, and likewise ``version``, ``variant``, ``holding``,
  ``team``, ``tenant``, ``feature``. An adapter (``lora_name``) is the variant.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import request_terms, server_lines
from tollbook.sources.request_terms import columns
from tollbook.sources.typing import text
from tollbook.workspace import Source

_STAMP = "(?:INFO|WARNING|ERROR|DEBUG) ([0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})"
_SAID = "(Received request|Generated response|Finished request|Aborted request|Aborting request|Request) ([^ :.]+)"

# a prompt may have such words in it: the first of a line is the server's, and of ids the last
_EVENTS = """
create or replace temp table vllm_events as
select
    file_row, {at} as told_at,
    regexp_extract(line, '{said}', 1) as event, regexp_extract(line, '{said}', 2) as request_id,
    regexp_extract(line, '.*prompt_token_ids: (\\[[0-9, ]*\\])', 1) as prompt_ids,
    regexp_extract(line, '.*output_token_ids: (\\[[0-9, ]*\\])', 1) as output_ids,
    regexp_extract(line, '.*finish_reason: ([a-z_]+)', 1) as finish_reason, contains(line, '(streaming delta)') as is_delta,
    regexp_extract(line, '.*lora_name=''([^'']+)''', 1) as adapter
from server_lines
where regexp_matches(line, '{said}')
"""

_REQUESTS = """
create or replace temp table vllm_requests as
select
    min(file_row) as file_row, request_id, min(told_at) filter (event = 'Received request') as received,
    min(told_at) filter (event = 'Generated response' and is_delta) as first_answered,
    max(told_at) filter (event in ('Generated response', 'Finished request', 'Aborted request', 'Aborting request')) as ended,
    max({prompt}) filter (prompt_ids <> '') as input_tokens,
    coalesce(max({output}) filter (output_ids <> '' and not is_delta), sum({output}) filter (output_ids <> '' and is_delta)) as output_tokens,
    bool_or({output} is null) filter (output_ids <> '') as is_output_cut,
    bool_or(event in ('Aborted request', 'Aborting request')) as is_aborted, max(nullif(finish_reason, 'none')) as finish_reason,
    max(nullif(adapter, '')) as adapter
from vllm_events
group by request_id
having count(*) filter (event = 'Received request') > 0
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known, or of the wrong kind.
        DeliveryError: unreadable file, or nothing says its year.
    """
    source.refuse_other_options("year", "timezone", "max_log_len", *server_lines.STATED)
    stated = server_lines.stated(source)
    stated["variant"] = f"coalesce({stated['variant']}, adapter)"
    year, longest = source.option("year"), source.option("max_log_len")
    for name, value in (("year", year), ("max_log_len", longest)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ConfigError(f"{source.name}: option {name} is a whole number.")
    request_terms.prepare(db)
    server_lines.open_lines(db, file)
    if year is None:
        delivered = db.execute("select coalesce(getvariable('delivered_name')::varchar, ?)", [file.name]).fetchone()[0]
        year = db.execute(
            "select nullif(regexp_extract(?, '(?:^|[^0-9])(20[0-9]{2})(?:[^0-9]|[0-9]{4}(?:[^0-9]|$))', 1), '')", [delivered]
        ).fetchone()[0]
    printed = db.execute(f"select count(*) from server_lines where record is null and regexp_matches(line, {text(_STAMP)})").fetchone()[0]
    if printed and year is None:
        raise DeliveryError(f"{file.name}: vLLM prints no year. Give the source the option year, or have it in the file's path.")
    zone = text(str(source.option("timezone", "UTC")))
    local = f"try_strptime('{year}-' || nullif(regexp_extract(line, '{_STAMP}', 1), ''), '%Y-%m-%d %H:%M:%S')"
    told = "coalesce(record->>'$.timestamp', record->>'$.asctime', record->>'$.time', record->>'$.ts')"
    db.execute(
        _EVENTS.format(said=_SAID, at=f"coalesce(timezone({zone}, {local}) at time zone 'UTC', req_time(replace({told}, ',', '.')))")
    )
    db.execute(_REQUESTS.format(prompt=_count("prompt_ids", longest), output=_count("output_ids", longest)))
    parts = columns(
        requested_at="received",
        request_id="request_id",
        kind="case when starts_with(request_id, 'cmpl-') then 'completion' when starts_with(request_id, 'embd-') or starts_with(request_id, 'pool-')"
        " then 'embedding' else 'chat' end",
        input_tokens="input_tokens",
        output_tokens="case when not coalesce(is_output_cut, false) then output_tokens end",
        time_to_first_token_ms="req_ms(received, first_answered)",
        latency_ms="req_ms(received, ended)",
        status="case when is_aborted then 'aborted' when finish_reason in ('abort', 'error') then finish_reason else 'ok' end",
        **stated,
    )
    return f"select {parts}, file_row from vllm_requests"


def _count(ids: str, longest: int | None) -> str:
    """The SQL of how many ids a list has; NULL where it may have been cut."""
    count = f"(case when {ids} = '[]' then 0 else length({ids}) - length(replace({ids}, ',', '')) + 1 end)"
    return f"nullif({count}, {longest})" if longest else count
