"""Amazon Bedrock's model invocation logs as canonical ``requests``: one row per invocation.

Source: AWS, "Monitor model invocation using CloudWatch Logs and Amazon S3": JSON lines ``{"schemaType": "ModelInvocationLog", …}``, gzip,
as they lie in S3.

- ``inputTokenCount`` is what was neither read from a cache nor written to one; canonical input has the reads too.
- ``modelId`` is a model, an ARN of one, or a profile: ``us.``, ``global.`` and the like are routes to the same model and are left off.
  Application profiles, provisioned throughput and imported models have ids of their own: option ``models`` says which model they are;
  their id is ``variant``. Provisioned throughput is tier provisioned.
- ``requestMetadata`` is what the caller said of the request: team, tenant, feature and so on, as the options name them.
- Prompts and answers are not kept, nor is whose session it was: of ``identity.arn`` only the role.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import records, request_terms
from tollbook.sources.request_terms import Fields, columns, faulty, input_tokens, moment, placed, rest, together
from tollbook.sources.typing import text
from tollbook.workspace import Source

_CALLS = """
create or replace temp table bedrock_calls as
select
    record_no as file_row, {other} as other_columns, {said}
from (
    select *, regexp_extract(record->>'$.identity.arn', ':assumed-role/([^/]+)', 1) as role from records
)
where record->>'$.schemaType' = 'ModelInvocationLog' or (record->>'$.schemaType' is null and record->>'$.modelId' is not null)
"""
_UNREAD = """
insert into unread
select record_no, 'schemaType', null, 'is no ModelInvocationLog' from records
where record->>'$.schemaType' is distinct from 'ModelInvocationLog' and (record->>'$.schemaType' is not null or record->>'$.modelId' is null)
"""
_PLACED = (
    "schemaType", "schemaVersion", "timestamp", "requestId", "region", "errorCode", "identity", "requestMetadata", "input", "output", "serviceTier",
)  # fmt: skip
_ROUTES = "^(us|eu|apac|global|us-gov|jp|au|ca|sa|uk|in|me)[.]"


def project(db: duckdb.DuckDBPyConnection, file: Path, source: Source, currency: str) -> str:
    """Open ``file``; return the SELECT that gives ``requests`` columns and ``file_row``.

    Raises:
        ConfigError: an option that is not known.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("providers", "own", "input_tokens", "models", *request_terms.DIMENSIONS)
    models = source.option("models", {})
    if not isinstance(models, dict):
        raise ConfigError(
            f"{source.name}: option models maps ids of profiles and provisioned throughput to models, such as {{abc123: anthropic.claude-…}}."
        )
    request_terms.prepare(db)
    if records.open_records(db, file):
        raise DeliveryError(f"{file.name}: invocation logs are JSON lines (.json, .jsonl, .ndjson, also with .gz or .zst).")
    db.execute("drop view if exists temp.delivery; create temp view delivery as select record, record_no as file_row from records")
    db.execute(_UNREAD)
    fields = Fields()
    field = fields.text
    body, last = "output.outputBodyJson", '$.output.outputBodyJson[#-1]."amazon-bedrock-invocationMetrics"'
    stated, output = (
        field("input.inputTokenCount", f"{body}.usage.inputTokens"),
        field("output.outputTokenCount", f"{body}.usage.outputTokens"),
    )
    read = field("input.cacheReadInputTokenCount", f"{body}.usage.cacheReadInputTokens", f"{body}.usage.cache_read_input_tokens")
    written = field("input.cacheWriteInputTokenCount", f"{body}.usage.cacheWriteInputTokens", f"{body}.usage.cache_creation_input_tokens")
    hour = field(f"{body}.usage.cache_creation.ephemeral_1h_input_tokens")
    named, operation = field("modelId"), field("operation")
    last_part = f"regexp_extract({named}, '([^/]+)$', 1)"
    kind_of_id = f"regexp_extract({named}, '^arn:[^:]+:[^:]+:[^:]*:[^:]*:([a-z-]+)/', 1)"
    known = " ".join(f"when {last_part} = {text(str(one))} then {text(str(model))}" for one, model in models.items())
    model = f"regexp_replace({last_part}, '{_ROUTES}', '')"
    model = f"case {known} else {model} end" if known else model
    tier = f"lower({field('serviceTier', 'output.serviceTier', f'{body}.serviceTier.type')})"

    def dimension(option: str, *names: str) -> str:
        return placed(source, option, tuple(f"requestMetadata.{name}" for name in (option, *names)), fields)

    parts = columns(
        request_id=field("requestId"),
        idempotency_key=dimension("idempotency_key", "idempotencyKey"),
        retry_of=dimension("retry_of"),
        fallback_of=dimension("fallback_of"),
        kind=f"case when {operation} = 'ApplyGuardrail' then 'guardrail' when contains(model, 'embed') then 'embedding'"
        " when contains(model, 'rerank') then 'rerank' when regexp_matches(model, 'image|canvas|stability[.]|stable-') then 'image'"
        " when regexp_matches(model, 'reel|luma[.]') then 'video' when contains(model, 'sonic') then 'audio' else 'chat' end",
        trace_id=field("requestMetadata.trace_id", "requestMetadata.traceId"),
        job_id=dimension("job", "job_id", "jobId"),
        user_id=dimension("user", "user_id", "userId"),
        team=dimension("team"),
        tenant=dimension("tenant", "tenant_id", "tenantId", "customer"),
        feature=dimension("feature"),
        provider=request_terms.provider(source, "'aws.bedrock'"),
        model="model",
        model_version=dimension("version", "model_version"),
        variant=f"coalesce({dimension('variant')}, case when {kind_of_id} not in ('', 'foundation-model', 'inference-profile') then {last_part} end)",
        region=field("region"),
        tier=f"case when {kind_of_id} = 'provisioned-model' then 'provisioned' when {tier} in ('default', 'standard') then 'standard' else {tier} end",
        input_tokens=input_tokens(source, stated, read, written, is_all=False),
        cached_input_tokens=f"req_count({read})",
        cache_write_tokens=f"req_count({written})",
        cache_write_1h_tokens=f"req_count({hour})",
        output_tokens=f"req_count({output})",
        image_count=f"req_count({field('output.outputImageCount')})",
        time_to_first_token_ms=f"try_cast({fields.at(last + '.firstByteLatency')} as double)",
        latency_ms=f"try_cast(coalesce({fields.at(last + '.invocationLatency')}, {field(f'{body}.metrics.latencyMs')}) as double)",
        status=f"coalesce({field('errorCode')}, 'success')",
    )
    numbers = {"input.inputTokenCount": stated, "output.outputTokenCount": output, "input.cacheReadInputTokenCount": read}
    numbers["input.cacheWriteInputTokenCount"] = written
    at = field("timestamp")
    other = together(
        rest("record", *_PLACED),
        role="case when role <> '' then to_json(role)::varchar end",
        requestMetadata=rest("record->'$.requestMetadata'"),
    )
    db.execute(_CALLS.format(other=other, said=fields.sql("record")))
    return f"select {parts}, {moment('requested_at', at)}, other_columns, file_row, {faulty(**numbers)} as cast_fault from (select *, {model} as model from bedrock_calls)"
