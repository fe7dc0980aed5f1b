"""Langfuse's observations as canonical ``requests``: one row per generation or embedding.

Source: Langfuse, "Blob storage export field reference" (``observations_v2/``, ``observations/``), the public API's observations (pages
``{"data": […]}`` or bare) and the exports of its tables: JSON, JSON lines, CSV, Parquet; names in camel or snake case.

- Langfuse counts each kind of usage by itself: ``input`` is without the cached tokens beside it, ``output`` without reasoning. Where
  ``total`` is input and output alone, they have the others in them.
- Langfuse knows the model, seldom who serves it: ``metadata.ls_provider`` and the like, else by the model's name (option ``by_model``).
- ``costDetails.total`` is what Langfuse reckoned, in USD: ``logged_cost``. ``level`` ERROR is a failure.
- Spans, events, tools and agents are left out; inputs, outputs and status messages are not kept.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources import records, request_terms
from tollbook.sources.request_terms import Fields, columns, faulty, moment, placed, rest, together
from tollbook.sources.typing import text
from tollbook.workspace import Source

_BY_MODEL = {
    "gpt-*": "OpenAI", "chatgpt-*": "OpenAI", "o[0-9]*": "OpenAI", "text-embedding-*": "OpenAI", "claude-*": "Anthropic",
    "gemini-*": "Google Cloud", "anthropic.*": "AWS", "amazon.*": "AWS", "mistral-*": "Mistral AI", "deepseek-*": "DeepSeek",
}  # fmt: skip

_CALLS = """
create or replace temp table langfuse_parts as
with parts as (
    select
        record_no,
        unnest(case when json_type(record, '$.data') = 'ARRAY' then (record->'$.data')::json[] else [record] end) as part
    from records
)

select
    row_number() over (order by record_no) as file_row,
    -- rows of a table have their JSON as text
    case
        when json_type(part, '$.metadata') = 'VARCHAR' or json_type(part, '$.usageDetails') = 'VARCHAR' or json_type(part, '$.usage_details') = 'VARCHAR'
            then json_merge_patch(part, json_object(
                'metadata', req_json(part->'$.metadata'), 'usageDetails', req_json(coalesce(part->'$.usageDetails', part->'$.usage_details')),
                'costDetails', req_json(coalesce(part->'$.costDetails', part->'$.cost_details'))
            ))
        else part
    end as record,
    regexp_matches(coalesce(part->>'$.usageDetails', part->>'$.usage_details'), '^[{{]\\s*''') as is_unread
from parts;

create or replace temp table langfuse_calls as
select
    file_row, is_unread, {other} as other_columns, {said},
    list_sum(map_values(json_transform(
        json_merge_patch(coalesce(req_json(record->'$.usageDetails'), req_json(record->'$.usage_details')), '{{"total": null}}'::json),
        '"MAP(VARCHAR, DOUBLE)"'
    ))) as all_usage
from langfuse_parts
"""
_PLACED = (
    "id", "traceId", "trace_id", "type", "startTime", "start_time", "endTime", "end_time", "completionStartTime", "completion_start_time", "model",
    "providedModelName", "provided_model_name", "usageDetails", "usage_details", "usage", "costDetails", "cost_details", "metadata", "level",
    "status_message", "promptTokens", "completionTokens", "totalTokens", "inputUsage", "outputUsage", "totalUsage", "modelParameters",
    "model_parameters", "input_text", "output_text", "totalCost", "total_cost", "calculatedTotalCost", "latency", "timeToFirstToken", "time_to_first_token",
    "calculated_total_cost", "toolCalls", "toolDefinitions", "tool_definitions",
)  # fmt: skip
_READ = ("input_cached_tokens", "cache_read_input_tokens", "input_cache_read", "input_cached", "input_cache_read_tokens", "cached_tokens")
_WRITTEN = (
    "cache_creation_input_tokens",
    "input_cache_creation",
    "input_cache_creation_tokens",
    "input_cache_write",
    "cache_write_input_tokens",
)
_WRITTEN_1H = ("input_cache_creation_1h", "cache_creation_1h_input_tokens", "ephemeral_1h_input_tokens")
_REASONING = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens", "reasoning")


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("providers", "own", "by_model", *request_terms.DIMENSIONS)
    by_model = source.option("by_model", {})
    if not isinstance(by_model, dict):
        raise ConfigError(
            f"{source.name}: option by_model maps patterns of models to who serves them, such as {{'gpt-*': OpenAI, 'llama*': vllm}}."
        )
    request_terms.prepare(db)
    records.open_records(db, file)
    fields = Fields()
    field = fields.text

    def usage(*names: str) -> str:
        return f"req_count({field(*(f'{of}.{name}' for name in names for of in ('usageDetails', 'usage_details')))})"

    def zero(value: str) -> str:
        return f"coalesce({value}, 0)"

    stated = field("usageDetails.input", "usage_details.input", "usageDetails.input_tokens", "inputUsage", "promptTokens", "usage.input")
    output = field(
        "usageDetails.output", "usage_details.output", "usageDetails.output_tokens", "outputUsage", "completionTokens", "usage.output"
    )
    told, written_out, total = f"req_count({stated})", f"req_count({output})", usage("total")
    read, written, reasoning = usage(*_READ), usage(*_WRITTEN), usage(*_REASONING)
    heard, spoken, seen = (
        usage("input_audio_tokens", "input_audio"),
        usage("output_audio_tokens", "output_audio"),
        usage("input_image_tokens", "input_image"),
    )
    # each kind by itself, unless the total is input and output alone
    apart = f"(coalesce({total} = {zero(told)} + {zero(written_out)} and {total} <> all_usage, false) is false)"
    is_any = f"coalesce({told}, {read}, {written}, {heard}, {seen}) is not null"
    name = field("model", "providedModelName", "provided_model_name")
    cases = " ".join(
        f"when lower({name}) glob {text(str(one).lower())} then {text(str(who))}" for one, who in {**by_model, **_BY_MODEL}.items()
    )
    system = f"coalesce({field('metadata.ls_provider', 'metadata.provider', 'metadata.custom_llm_provider')}, case {cases} end)"
    tags = f"coalesce(from_json({field('tags', 'traceTags', 'trace_tags')}, '[\"VARCHAR\"]'), [])"
    kind, level = f"upper({field('type')})", f"upper({field('level')})"
    cost = field("costDetails.total", "cost_details.total", "totalCost", "total_cost", "calculatedTotalCost", "calculated_total_cost")
    starts, ends = field("startTime", "start_time"), field("endTime", "end_time")
    first = field("completionStartTime", "completion_start_time")

    def dimension(option: str, *names: str) -> str:
        return placed(source, option, (f"metadata.{option}", *(f"metadata.{one}" for one in names), f"tag:{option}"), fields, tags)

    parts = columns(
        request_id=field("id"),
        idempotency_key=dimension("idempotency_key"),
        retry_of=dimension("retry_of"),
        fallback_of=dimension("fallback_of"),
        kind=f"case when {kind} = 'EMBEDDING' or contains(lower({name}), 'embed') then 'embedding' else 'chat' end",
        trace_id=field("traceId", "trace_id"),
        job_id=dimension("job", "job_id"),
        user_id=placed(source, "user", ("userId", "user_id", "metadata.user_id", "metadata.langfuse_user_id"), fields, tags),
        team=dimension("team"),
        tenant=dimension("tenant", "tenant_id"),
        feature=f"coalesce({dimension('feature')}, {field('traceName', 'trace_name')})",
        provider=request_terms.provider(source, system),
        model=name,
        model_version=dimension("version", "model_version"),
        variant=dimension("variant"),
        tier=f"lower({field('metadata.service_tier')})",
        input_tokens=f"case when not {is_any} then null when {apart} then {zero(told)} + {zero(read)} + {zero(heard)} + {zero(seen)}"
        f" else {told} - {zero(written)} end",
        cached_input_tokens=read,
        cache_write_tokens=f"case when coalesce({written}, {usage(*_WRITTEN_1H)}) is not null then greatest({zero(written)}, {zero(usage(*_WRITTEN_1H))}) end",
        cache_write_1h_tokens=usage(*_WRITTEN_1H),
        output_tokens=f"case when {apart} and coalesce({written_out}, {reasoning}, {spoken}) is not null"
        f" then {zero(written_out)} + {zero(reasoning)} + {zero(spoken)} else {written_out} end",
        reasoning_tokens=reasoning,
        input_audio_tokens=heard,
        output_audio_tokens=spoken,
        input_image_tokens=seen,
        time_to_first_token_ms=f"req_ms(req_time({starts}), req_time({first}))",
        latency_ms=f"req_ms(req_time({starts}), req_time({ends}))",
        status=f"case when {level} = 'ERROR' then 'error' else 'ok' end",
        logged_cost=cost,
        logged_currency=f"case when {cost} is not null then 'USD' end",
    )
    numbers = {"usageDetails.input": stated, "usageDetails.output": output}
    unread = "{'column_name': 'usageDetails', 'value': null::varchar, 'reason': 'is no JSON object: export it as JSON'}"
    wanted = f"{kind} in ('GENERATION', 'EMBEDDING') or ({field('type')} is null and {name} is not null)"
    at = moment("requested_at", starts)
    other = together(rest("record", *_PLACED), metadata=rest("record->'$.metadata'"))
    db.execute(_CALLS.format(other=other, said=fields.sql("record")))
    db.execute("drop view if exists temp.delivery; create temp view delivery as select record, file_row from langfuse_parts")
    return f"select {parts}, {at}, other_columns, file_row, case when is_unread then {unread} else {faulty(**numbers)} end as cast_fault from langfuse_calls where {wanted}"
