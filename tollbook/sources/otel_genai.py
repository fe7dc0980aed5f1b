"""OpenTelemetry's spans of calls of models as canonical ``requests``: one row per call, each try a row.

Source: OpenTelemetry semantic conventions for generative AI, current names and older ones (``gen_ai.system``, ``prompt_tokens`` …), with
those of vLLM's own spans (``gen_ai.latency.…``), OpenLLMetry and OpenInference; see ``otel`` for the files.

- Spans of agents, tools and retrieval are left out, and so is a call around another (a client's around a gateway's or server's of the
  same trace): the innermost is the invocation.
- ``gen_ai.usage.input_tokens`` has cache reads and writes in it by the conventions; instrumentations that leave them out are known by
  numbers that cannot be so (see ``request_terms``), else by the option ``input_tokens``. Reasoning is part of output; where it is more
  than all output, the output was told without it.
- ``request_id`` is ``gen_ai.response.id``, else trace and span; ``otel_spans`` says the same.
- Team, tenant, feature, user, variant and job: the span's attribute, else the one value that its trace has in the file, else the resource's.
- Head sampling that the trace state tells (``ot=th:…``) becomes ``sample_weight``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.sources import otel, request_terms
from tollbook.sources.otel import attribute
from tollbook.sources.request_terms import columns, faulty, input_tokens, paths
from tollbook.workspace import Source

_DEFAULTS = {
    "user": ("user.id", "enduser.id", "enduser.pseudo.id", "gen_ai.user.id", "gen_ai.request.user", "langfuse.user.id", "llm.user"),
    "team": ("team", "team.id", "team.name", "service.team", "owner.team"),
    "tenant": ("tenant.id", "tenant", "tenant.name", "customer.id", "organization.id"),
    "feature": ("feature", "feature.name", "app.feature"),
    "variant": ("variant", "feature_flag.result.variant", "feature_flag.variant", "experiment.variant"),
    "job": otel.JOBS,
}
_OWN = {
    "version": ("gen_ai.model.version", "model.version"),
    "retry_of": ("retry_of", "gen_ai.request.retry_of"),
    "fallback_of": ("fallback_of", "gen_ai.request.fallback_of"),
    "idempotency_key": ("idempotency_key", "idempotency.key", "http.request.header.idempotency-key"),
}
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens", "llm.token_count.completion")
_READ = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.input_tokens.cached",
    "gen_ai.usage.cached_tokens", "llm.token_count.prompt_details.cache_read",
)  # fmt: skip
_WRITTEN = (
    "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.input_tokens.cache_write",
    "llm.token_count.prompt_details.cache_write",
)  # fmt: skip
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens", "llm.token_count.completion_details.reasoning",
)  # fmt: skip
_TIER = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
    "openai.request.service_tier",
)
_FIRST = (
    "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token", "gen_ai.latency.time_to_first_token",
    "gen_ai.response.time_to_first_token",
)  # fmt: skip
_MODEL = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name")
_SYSTEM = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_PLACED = (
    *_INPUT, *_OUTPUT, *_READ, *_WRITTEN, *_REASONING, *_TIER, *_FIRST, *_SYSTEM, "gen_ai.response.model", "gen_ai.response.id",
    "gen_ai.operation.name", "error.type", "gen_ai.latency.time_in_queue", "gen_ai.latency.time_in_model_prefill",
    "gen_ai.latency.time_in_model_decode", "gen_ai.latency.e2e", "gen_ai.usage.cost",
)  # fmt: skip

# a call is the innermost of a chain; an agent or a tool between two calls makes them two
_CALLS = """
create or replace temp table otel_calls as
with recursive known as (
    select *, {is_call} as is_call, {operation} is not null as is_step from otel_read
),

above as (
    select trace_id, parent_span_id as at_id, 1 as depth from known where is_call and parent_span_id is not null
    union all
    select above.trace_id, known.parent_span_id, depth + 1
    from above inner join known on above.trace_id = known.trace_id and above.at_id = known.span_id
    where not known.is_call and not known.is_step and known.parent_span_id is not null and depth < 20
),

dimensioned as (
    select *, {dimensions} from known
),

traces as (
    select trace_id, {of_trace} from dimensioned group by trace_id
)

select dimensioned.* exclude ({names}), {chosen}
from dimensioned
left join traces on dimensioned.trace_id = traces.trace_id
anti join above on dimensioned.trace_id = above.trace_id and dimensioned.span_id = above.at_id
where is_call
"""


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("providers", "own", "input_tokens", *request_terms.DIMENSIONS)
    otel.open_spans(db, file)
    named = {name: paths(source, name, default) for name, default in (_DEFAULTS | _OWN).items()}
    db.execute(
        _CALLS.format(
            is_call=otel.IS_MODEL_CALL,
            operation=attribute("gen_ai.operation.name"),
            dimensions=columns(**{f"at_{name}": attribute(*named[name]) for name in _DEFAULTS}),
            of_trace=columns(**{f"of_{name}": f"case when min(at_{name}) = max(at_{name}) then min(at_{name}) end" for name in _DEFAULTS}),
            names=", ".join(f"at_{name}" for name in _DEFAULTS),
            chosen=columns(**{f"by_{name}": f"coalesce(at_{name}, of_{name}, {_of_resource(named[name])})" for name in _DEFAULTS}),
        )
    )
    read, written, reasoning = attribute(*_READ), attribute(*_WRITTEN), f"req_count({attribute(*_REASONING)})"
    stated, output, tier = attribute(*_INPUT), f"req_count({attribute(*_OUTPUT)})", f"lower({attribute(*_TIER)})"
    operation = f"lower(coalesce({attribute('gen_ai.operation.name', 'llm.request.type', 'openinference.span.kind')}, 'chat'))"
    # vLLM's own spans name no system
    system = f"coalesce({attribute(*_SYSTEM)}, case when {attribute('gen_ai.latency.e2e')} is not null then 'vllm' end)"
    holding = attribute(*paths(source, "holding")) if "holding" in source.options else "null::varchar"
    parts = columns(
        requested_at="coalesce(strftime(started_at, '%Y-%m-%dT%H:%M:%S.%fZ'), starts)",
        request_id=otel.REQUEST_ID,
        idempotency_key=attribute(*named["idempotency_key"]),
        retry_of=attribute(*named["retry_of"]),
        fallback_of=attribute(*named["fallback_of"]),
        kind=f"case when {operation} like 'embedding%' then 'embedding' when {operation} in ('text_completion', 'completion') then 'completion'"
        f" when {operation} like 'image%' then 'image' when {operation} like 'rerank%' then 'rerank'"
        f" when {operation} in ('transcription', 'speech') then 'audio' else 'chat' end",
        trace_id="trace_id",
        job_id="by_job",
        user_id="by_user",
        team="by_team",
        tenant="by_tenant",
        feature="by_feature",
        provider=request_terms.provider(source, system, attribute("server.address")),
        model=attribute(*_MODEL),
        model_version=attribute(*named["version"]),
        variant="by_variant",
        tier=f"case when {tier} = 'default' then 'standard' else {tier} end",
        # the server's own span knows where it ran
        holding_id=f"coalesce({holding}, case when kind in ('2', 'SPAN_KIND_SERVER') then {_of_resource(('k8s.pod.uid',))} end)",
        input_tokens=input_tokens(source, stated, read, written, is_all=True),
        cached_input_tokens=f"req_count({read})",
        cache_write_tokens=f"req_count({written})",
        output_tokens=f"case when {reasoning} > {output} then {output} + {reasoning} else {output} end",
        reasoning_tokens=reasoning,
        queue_ms=_milliseconds("gen_ai.latency.time_in_queue"),
        time_to_first_token_ms=_milliseconds(*_FIRST),
        prefill_ms=_milliseconds("gen_ai.latency.time_in_model_prefill"),
        decode_ms=_milliseconds("gen_ai.latency.time_in_model_decode"),
        latency_ms="req_ms(started_at, ended_at)",
        status=f"coalesce({attribute('error.type')}, case when is_error then coalesce({attribute('http.response.status_code')}, 'error') else 'ok' end)",
        logged_cost=attribute("gen_ai.usage.cost"),
        logged_currency=f"case when {attribute('gen_ai.usage.cost')} is not null then 'USD' end",
        sample_weight="case when threshold <> '' then (72057594037927936::hugeint::double"
        " / (72057594037927936::hugeint - ('0x' || rpad(threshold, 14, '0'))::bigint)::double)::decimal(18, 6) end",
        other_columns=otel.kept(*_PLACED, *(name for names in named.values() for name in names)),
    )
    numbers = {
        _INPUT[0]: stated,
        _OUTPUT[0]: attribute(*_OUTPUT),
        _READ[0]: read,
        _WRITTEN[0]: written,
        _REASONING[0]: attribute(*_REASONING),
    }
    return f"select {parts}, file_row, {faulty(**numbers)} as cast_fault from otel_calls"


def _of_resource(names: tuple[str, ...]) -> str:
    found = [f"nullif(trim(resource_vals[list_position(resource_keys, {request_terms.text(name)})]), '')" for name in names]
    return f"coalesce({', '.join([*found, 'null::varchar'])})"


def _milliseconds(*names: str) -> str:
    """The SQL of seconds in an attribute as milliseconds."""
    return f"try_cast({attribute(*names)} as double) * 1000"
