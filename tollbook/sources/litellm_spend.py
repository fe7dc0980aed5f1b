"""LiteLLM's spend logs (table ``LiteLLM_SpendLogs``) as canonical ``requests``: one row per call that the proxy made.

Source: BerriAI/litellm, ``proxy/spend_tracking/spend_tracking_utils.py``; rows of ``/spend/logs`` or of the table as JSON lines, a JSON
array, CSV or Parquet.

- ``prompt_tokens`` has cache reads and cache writes in it, also for Anthropic; some versions left them out for Anthropic's own call type.
  The usage object's ``text_tokens`` tells, else the numbers do (see ``request_terms``). Cache writes are beside ``input_tokens``.
- ``spend`` is what LiteLLM reckoned, in USD: ``logged_cost``, compared and never charged.
- ``cache_hit`` is LiteLLM's own cache of answers (``is_cached``), not the vendor's prompt cache.
- Without streaming ``completionStartTime`` is ``endTime``: that is no time to first token.
- ``end_user`` is who asked, else ``user`` (whose key it was); both leave as the pseudonym only. Prompts, answers, addresses and keys are
  not kept.
- Calls of tools and files ask no model and are left out. A retrieved batch is one row with the batch's tokens, tier batch.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources import records, request_terms
from tollbook.sources.request_terms import Fields, columns, faulty, input_tokens, moment, placed, rest, together
from tollbook.workspace import Source

_KINDS = {
    "embedding": ("embedding", "aembedding"),
    "completion": ("text_completion", "atext_completion"),
    "image": ("image_generation", "aimage_generation", "image_edit", "aimage_edit", "image_variation", "aimage_variation"),
    "audio": ("transcription", "atranscription", "speech", "aspeech"),
    "rerank": ("rerank", "arerank"),
    "guardrail": ("moderation", "amoderation"),
    "ocr": ("ocr", "aocr"),
    "search": ("search", "asearch"),
}
_NO_MODEL = (
    "^a?(call_mcp_tool|list_mcp_tools|(create|retrieve|list|delete)_(file|batches|fine_tuning_job)|create_batch|file_.*|vector_store_.*)$"
)

_CALLS = """
create or replace temp table litellm_calls as
with whole as (
    select
        record_no as file_row,
        -- rows of a table have their JSON as text
        case
            when json_type(record, '$.metadata') = 'VARCHAR'
                then json_merge_patch(record, json_object('metadata', try_cast(record->>'$.metadata' as json)))
            else record
        end as record,
        json_type(record, '$.metadata') = 'VARCHAR' and try_cast(record->>'$.metadata' as json) is null as is_unread
    from records
)

select file_row, is_unread, {other} as other_columns, {said} from whole
"""
_PLACED = (
    "request_id", "call_type", "spend", "total_tokens", "prompt_tokens", "completion_tokens", "startTime", "endTime", "completionStartTime",
    "model", "custom_llm_provider", "cache_hit", "cache_key", "status", "session_id", "team_id", "metadata",
)  # fmt: skip


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("providers", "own", "input_tokens", *request_terms.DIMENSIONS)
    if "holding" in source.options:
        raise ConfigError(f"{source.name}: LiteLLM does not know which holding served; leave out option holding.")
    request_terms.prepare(db)
    records.open_records(db, file)
    db.execute("drop view if exists temp.delivery; create temp view delivery as select record, record_no as file_row from records")
    fields = Fields()
    field = fields.text

    def usage(*names: str) -> str:
        return field(*(f"metadata.{of}.{name}" for of in ("usage_object", "additional_usage_values") for name in names))

    def count(*names: str) -> str:
        return f"req_count({usage(*names)})"

    def some(*names: str) -> str:
        return f"nullif({count(*names)}, 0)"

    prompt, output = f"coalesce({field('prompt_tokens')}, {usage('prompt_tokens')})", field("completion_tokens")
    read = usage("prompt_tokens_details.cached_tokens", "cache_read_input_tokens")
    written = usage("cache_creation_input_tokens", "prompt_tokens_details.cache_creation_tokens")
    told = input_tokens(source, prompt, read, written, is_all=True)
    if source.option("input_tokens", "auto") == "auto":
        # text that is all of the prompt beside a cache: the prompt is without it
        cached = f"coalesce(req_count({read}), 0)"
        is_without = (
            f"{count('prompt_tokens_details.text_tokens')} = req_count({prompt}) and {cached} + coalesce(req_count({written}), 0) > 0"
        )
        told = f"case when {is_without} then req_count({prompt}) + {cached} else {told} end"
    name, system, group = field("model"), field("custom_llm_provider"), field("model_group")
    host = f"nullif(regexp_extract(lower({field('api_base')}), '^(?:[a-z]+://)?([^/:]+)', 1), '')"
    custom = ("metadata.spend_logs_metadata.{0}", "metadata.requester_metadata.{0}", "tag:{0}")
    tags = f"coalesce(from_json({field('request_tags')}, '[\"VARCHAR\"]'), [])"

    def dimension(option: str, *default: str) -> str:
        return placed(source, option, tuple(one.format(option) for one in (*custom, *default)), fields, tags)

    kinds = " ".join(f"when call_type in ({', '.join(repr(word) for word in words)}) then '{kind}'" for kind, words in _KINDS.items())
    error = field("metadata.error_information.error_code", "metadata.error_information.error_class")
    status = f"lower({field('status', 'metadata.status')})"
    tier, cost = f"lower({usage('service_tier')})", field("spend")
    bare = f"case when starts_with(lower({name}), lower({system}) || '/') then substr({name}, length({system}) + 2) else {name} end"
    parts = columns(
        request_id=field("request_id"),
        idempotency_key=dimension("idempotency_key"),
        retry_of=dimension("retry_of"),
        fallback_of=dimension("fallback_of"),
        kind=f"case {kinds} else 'chat' end",
        trace_id=field("session_id"),
        job_id=dimension("job", "metadata.spend_logs_metadata.job_id", "tag:job_id"),
        user_id=placed(source, "user", ("end_user", "user"), fields, tags),
        team=dimension("team", "metadata.user_api_key_team_alias", "team_id"),
        tenant=dimension("tenant"),
        feature=dimension("feature"),
        provider=request_terms.provider(source, system, host),
        model=bare,
        model_version=dimension("version"),
        variant=f"coalesce({dimension('variant')}, case when {group} <> {name} then {group} end)",
        tier=f"case when call_type in ('retrieve_batch', 'aretrieve_batch') then 'batch' when {tier} = 'default' then 'standard' else {tier} end",
        input_tokens=told,
        cached_input_tokens=f"req_count({read})",
        cache_write_tokens=f"req_count({written})",
        cache_write_1h_tokens=count(
            "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens", "cache_creation.ephemeral_1h_input_tokens"
        ),
        output_tokens=f"req_count({output})",
        reasoning_tokens=count("completion_tokens_details.reasoning_tokens"),
        input_audio_tokens=some("prompt_tokens_details.audio_tokens"),
        output_audio_tokens=some("completion_tokens_details.audio_tokens"),
        input_image_tokens=some("prompt_tokens_details.image_tokens"),
        output_image_tokens=some("completion_tokens_details.image_tokens"),
        search_count=count("server_tool_use.web_search_requests", "prompt_tokens_details.web_search_requests"),
        prompt_hash=f"nullif({field('cache_key')}, 'Cache OFF')",
        time_to_first_token_ms="case when first_at < ends_at and first_at >= starts_at then req_ms(starts_at, first_at) end",
        latency_ms="req_ms(starts_at, ends_at)",
        is_cached=f"lower({field('cache_hit')}) = 'true'",
        status=f"case when {status} = 'failure' then coalesce({error}, 'failure') else coalesce({status}, 'success') end",
        logged_cost=cost,
        logged_currency=f"case when {cost} is not null then 'USD' end",
    )
    numbers = {"prompt_tokens": prompt, "completion_tokens": output, "cached_tokens": read, "cache_creation_input_tokens": written}
    starts, ends = field("startTime", "start_time"), field("endTime", "end_time")
    first, call_type = field("completionStartTime", "completion_start_time"), f"lower({field('call_type')})"
    other = together(
        over=rest("record", *_PLACED), metadata=rest("record->'$.metadata'", "usage_object", "additional_usage_values", "status")
    )
    db.execute(_CALLS.format(other=other, said=fields.sql("record")))
    unread = "{'column_name': 'metadata', 'value': null::varchar, 'reason': 'is no JSON object, so its cached tokens are not known: export it as JSON'}"
    return f"""
select {parts}, {moment("requested_at", starts)}, other_columns, file_row, case when is_unread then {unread} else {faulty(**numbers)} end as cast_fault
from (
    select *, req_time({starts}) as starts_at, req_time({ends}) as ends_at, req_time({first}) as first_at, {call_type} as call_type
    from litellm_calls
)
where not regexp_matches(coalesce(call_type, ''), '{_NO_MODEL}')
"""
