"""Spans of OpenTelemetry in OTLP JSON as one temp table, for the readers ``otel_genai`` and ``otel_spans``.

Source: OTLP's ``ExportTraceServiceRequest`` in protobuf's JSON: one document, or one a line as the Collector's file exporter writes it;
also with protobuf's own names (``resource_spans``) and older scopes (``instrumentationLibrarySpans``).

- Whole numbers come as texts, times in nanoseconds, of which microseconds are kept. Ids are hex in OTLP; protobuf's usual base64 is read too.
- Attributes are lists of key and value; of a key told twice the first counts. Arrays are JSON text.
- ``file_row`` is the number of the span in the file. A span told twice (retried exports) is one, the later.
- Who, what was said and what may carry secrets is left out of the attributes that are kept: see ``_PRIVATE``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import records, request_terms
from tollbook.sources.typing import text

#: Attributes that are never kept: persons, prompts and answers, headers and addresses with queries.
_PRIVATE = (
    "(user|enduser|client|source)[.].*|session[.]id|.*[.]?(email|username|user_id|user_name)"
    "|gen_ai[.](prompt|completion|input|output|system_instructions|tool|choice|user|request[.]user)([.].*)?|llm[.](prompts?|completions?|input_messages|output_messages|user).*"
    "|(input|output)[.](value|mime_type)|traceloop[.](entity[.](input|output)|association[.]properties[.]user.*)|langfuse[.](user[.]id|observation[.](input|output)|trace[.](input|output))"
    "|http[.](request|response)[.](header|body[.]content).*|http[.](url|target|user_agent|client_ip)|url[.](full|query|original)|user_agent[.].*"
    "|net[.](peer|sock[.]peer)[.]ip|network[.]peer[.]address|db[.](statement|query[.]text|query[.]parameter.*)|exception[.](message|stacktrace)"
)

_SPANS = """
create or replace temp table otel_lines as
select record_no, coalesce(record->'$.resourceSpans', record->'$.resource_spans') as resources from records;

insert into unread
select record_no, 'resourceSpans', null, 'is no list of spans: OTLP JSON of traces is wanted' from otel_lines
where json_type(resources) is distinct from 'ARRAY';

create or replace temp table otel_read as
with resources as (
    select record_no, unnest(resources::json[]) as resource from otel_lines where json_type(resources) = 'ARRAY'
),

scopes as (
    select
        record_no, resource->'$.resource.attributes' as resource_attributes,
        unnest(coalesce(
            resource->'$.scopeSpans', resource->'$.scope_spans', resource->'$.instrumentationLibrarySpans', '[]'::json
        )::json[]) as scope
    from resources
),

listed as (
    select record_no, resource_attributes, unnest(coalesce(scope->'$.spans', '[]'::json)::json[]) as span from scopes
),

told as (
    select
        row_number() over (order by record_no) as file_row,
        resource_attributes,
        json_extract_string(span, [
            '$.traceId', '$.trace_id', '$.spanId', '$.span_id', '$.parentSpanId', '$.parent_span_id', '$.name', '$.kind',
            '$.startTimeUnixNano', '$.start_time_unix_nano', '$.endTimeUnixNano', '$.end_time_unix_nano', '$.status.code', '$.traceState',
            '$.trace_state'
        ]) as said,
        from_json(coalesce(span->'$.attributes', '[]'::json), '[{"key": "VARCHAR", "value": "JSON"}]') as attributes,
        from_json(coalesce(resource_attributes, '[]'::json), '[{"key": "VARCHAR", "value": "JSON"}]') as of_resource
    from listed
)

select
    file_row,
    otel_id(coalesce(said[1], said[2])) as trace_id, otel_id(coalesce(said[3], said[4])) as span_id,
    otel_id(nullif(coalesce(said[5], said[6]), '')) as parent_span_id,
    said[7] as name, upper(said[8]) as kind,
    coalesce(said[9], said[10]) as starts, coalesce(said[11], said[12]) as ends,
    otel_time(coalesce(said[9], said[10])) as started_at, otel_time(coalesce(said[11], said[12])) as ended_at,
    coalesce(upper(said[13]) in ('2', 'STATUS_CODE_ERROR', 'ERROR'), false) as is_error,
    regexp_extract(coalesce(said[14], said[15]), '(?:^|,)ot=(?:[^,]*;)?th:([0-9a-f]{1,14})', 1) as threshold,
    list_transform(attributes, lambda one: one.key) as keys, list_transform(attributes, lambda one: otel_value(one.value)) as vals,
    list_transform(of_resource, lambda one: one.key) as resource_keys,
    list_transform(of_resource, lambda one: otel_value(one.value)) as resource_vals
from told
qualify row_number() over (partition by coalesce(trace_id || '-' || span_id, file_row::varchar) order by file_row desc) = 1
"""

_MACROS = """
create or replace temp macro otel_id(i) as case
    when regexp_full_match(i, '[0-9a-fA-F]+') and length(i) in (16, 32) then lower(i)
    when length(i) in (12, 24) and regexp_full_match(i, '[A-Za-z0-9+/]+={0,2}') then lower(hex(from_base64(i)))
    else i
end;
create or replace temp macro otel_time(t) as case
    when regexp_full_match(t, '[0-9]{1,19}') and t <> '0' then make_timestamp(try_cast(t as bigint) // 1000)
end;
create or replace temp macro otel_value(v) as coalesce(
    v->>'$.stringValue', v->>'$.intValue', v->>'$.doubleValue', v->>'$.boolValue', (v->'$.arrayValue.values')::varchar, v->>'$.string_value',
    v->>'$.int_value', v->>'$.double_value', v->>'$.bool_value', (v->'$.kvlistValue')::varchar
);
"""


def open_spans(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make ``otel_read`` (a row a span: file_row, trace_id, span_id, parent_span_id, name, kind, starts, ends, started_at, ended_at,
    is_error, keys, vals, resource_keys, resource_vals) and ``unread``.

    Raises:
        DeliveryError: unreadable file.
    """
    db.execute(_MACROS)
    request_terms.prepare(db)
    if records.open_records(db, file):
        raise DeliveryError(f"{file.name}: spans come as OTLP JSON (.json, .jsonl, .ndjson, also with .gz or .zst).")
    db.execute(_SPANS)
    db.execute("create temp view delivery as select * from otel_read")


def attribute(*names: str, resource: bool = False) -> str:
    """The SQL of the first of the span's attributes (then of its resource's, where asked for) that has a value, as text."""
    found = [f"nullif(trim(vals[list_position(keys, {text(name)})]), '')" for name in names]
    if resource:
        found += [f"nullif(trim(resource_vals[list_position(resource_keys, {text(name)})]), '')" for name in names]
    return f"coalesce({', '.join([*found, 'null::varchar'])})"


def service() -> str:
    """The SQL of the service that made the span."""
    return "nullif(trim(resource_vals[list_position(resource_keys, 'service.name')]), '')"


def kept(*known: str) -> str:
    """The SQL of a JSON object of the attributes that are not ``known`` and not private; NULL where there are none."""
    without = ", ".join(text(name) for name in known) or "''"
    wanted = f"list_filter(list_distinct(keys), lambda key: key not in ({without}) and not regexp_full_match(key, {text(_PRIVATE)}))"
    pairs = f"list_transform({wanted}, lambda key: to_json(key)::varchar || ':' || to_json(vals[list_position(keys, key)])::varchar)"
    return f"nullif('{{' || coalesce(array_to_string({pairs}, ','), '') || '}}', '{{}}')"


#: Attributes that name a job, the first counts.
JOBS = (
    "job.id", "job_id", "k8s.job.name", "slurm.job_id", "slurm.job.id", "airflow.dag_run.run_id", "airflow.run_id", "dag_run.run_id",
    "dagster.run_id", "prefect.flow_run.id", "faas.job.id", "batch.job.id", "cicd.pipeline.run.id",
)  # fmt: skip

#: The invocation that a span of a model call is: the response's own id where the vendor gave one, else the span.
REQUEST_ID = f"coalesce({attribute('gen_ai.response.id')}, trace_id || '-' || span_id)"
#: Calls of models: an operation of the conventions that asks one, or the counts of one where an instrumentation tells no operation.
IS_MODEL_CALL = (
    f"case when {attribute('gen_ai.operation.name')} is not null"
    f" then lower({attribute('gen_ai.operation.name')}) in"
    " ('chat', 'text_completion', 'completion', 'embeddings', 'embedding', 'generate_content', 'image_generation', 'rerank', 'transcription', 'speech')"
    f" when {attribute('openinference.span.kind')} is not null then upper({attribute('openinference.span.kind')}) in ('LLM', 'EMBEDDING', 'RERANKER')"
    f" when {attribute('llm.request.type')} is not null then true"
    f" else coalesce({attribute('gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens')},"
    f" {attribute('gen_ai.request.model')}) is not null and {attribute('gen_ai.tool.name', 'gen_ai.agent.name')} is null end"
)
