"""Calls of models in OpenTelemetry's spans by example, as the Collector's file exporter writes them; made-up people."""

import gzip
import json
from datetime import datetime
from decimal import Decimal

import pytest
from otlp import attributes, document, span
from reader_rows import values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import otel_genai


@pytest.fixture
def read(typed, tmp_path):
    """Read spans (one document), a text, or lines; the good rows, the faulty ones."""

    def read(*content, name="traces.jsonl", **options):
        file = tmp_path / name
        lines = [one if isinstance(one, str) else json.dumps(one if "resourceSpans" in one else document(one)) for one in content]
        data = "\n".join(lines).encode()
        file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return typed(otel_genai, file, options=options)

    return read


def chat(number=1, parent="", seconds=2.0, drop=(), **said):
    """A span of a chat with an OpenAI model; attributes by name with dots as double underscores."""
    told = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-11-20",
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20, "server.address": "api.openai.com",
    } | {key.replace("__", "."): value for key, value in said.items()}  # fmt: skip
    return span(number, parent, "chat gpt-4o", seconds, {key: value for key, value in told.items() if key not in drop})


def test_a_call_by_the_conventions(read):
    told = chat(
        gen_ai__response__id="chatcmpl-7", openai__response__service_tier="default", tenant__id="acme", user__id="u-17", feature="search",
        gen_ai__response__finish_reasons=["stop"], gen_ai__response__time_to_first_chunk=0.25, gen_ai__input__messages="[secret prompt]",
        gen_ai__request__temperature=0.5,
    )  # fmt: skip
    ((row,), faulty) = read(told)
    assert faulty == []
    assert json.loads(row.pop("other_columns")) == {
        "gen_ai.request.model": "gpt-4o", "gen_ai.response.finish_reasons": '[{"stringValue":"stop"}]', "gen_ai.request.temperature": "0.5",
        "server.address": "api.openai.com",
    }  # fmt: skip
    assert {name: value for name, value in row.items() if value is not None} == {
        "requested_at": datetime(2026, 3, 1, 10), "request_id": "chatcmpl-7", "kind": "chat", "trace_id": "5b8efff798038103d269b633813fc60c",
        "user_id": "u-17", "tenant": "acme", "feature": "search", "provider": "OpenAI", "model": "gpt-4o-2024-11-20", "tier": "standard",
        "input_tokens": 100, "output_tokens": 20, "time_to_first_token_ms": 250.0, "latency_ms": 2000.0, "status": "ok", "file_row": 1,
    }  # fmt: skip


def test_only_calls_of_models(read):
    others = [
        span(2, "", "invoke_agent helper", 5, {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 100}),
        span(3, "", "execute_tool weather", 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"}),
        span(4, "", "GET /", 1, {"http.request.method": "GET"}),
    ]
    embeddings = chat(5, drop=["gen_ai.usage.output_tokens"], gen_ai__operation__name="embeddings", gen_ai__usage__input_tokens=9)
    old = chat(6, gen_ai__operation__name="text_completion")
    google = chat(7, gen_ai__operation__name="generate_content", gen_ai__provider__name="gcp.vertex_ai")
    good, _ = read(document(*others, embeddings, old, google))
    assert values(good, "kind", "input_tokens", "output_tokens", "provider") == [
        ("embedding", 9, None, "OpenAI"), ("completion", 100, 20, "OpenAI"), ("chat", 100, 20, "Google Cloud"),
    ]  # fmt: skip


def test_older_names(read):
    old = {
        "gen_ai.system": "az.ai.openai", "llm.request.type": "chat", "gen_ai.request.model": "gpt-4", "gen_ai.usage.prompt_tokens": 42,
        "gen_ai.usage.completion_tokens": 7, "gen_ai.usage.cache_read_input_tokens": 40, "gen_ai.prompt.0.content": "secret",
    }  # fmt: skip
    inference = {
        "openinference.span.kind": "LLM", "llm.provider": "anthropic", "llm.model_name": "claude-haiku-4-5", "llm.token_count.prompt": 30,
        "llm.token_count.completion": 4, "input.value": "secret",
    }  # fmt: skip
    chain = {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 30}
    good, _ = read(document(span(1, "", "openai.chat", 1, old), span(2, "", "ChatAnthropic", 1, inference), span(3, "", "chain", 1, chain)))
    assert values(good, "provider", "model", "input_tokens", "cached_input_tokens", "output_tokens") == [
        ("Microsoft", "gpt-4", 42, 40, 7), ("Anthropic", "claude-haiku-4-5", 30, None, 4),
    ]  # fmt: skip
    assert "secret" not in str(good)


def test_cache_reads_and_writes(read):
    # 3 input, 12,304 written, 550 output: with the writes in it as the conventions say, and without
    written = {"gen_ai__usage__cache_creation__input_tokens": 12304, "gen_ai__usage__output_tokens": 550}
    by_convention = chat(1, gen_ai__usage__input_tokens=12307, **written)
    without = chat(2, gen_ai__usage__input_tokens=3, **written)
    reads = chat(
        3, gen_ai__usage__input_tokens=1000, gen_ai__usage__cache_read__input_tokens=800, gen_ai__usage__cache_creation__input_tokens=50
    )
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens")
    spans = document(by_convention, without, reads)
    assert values(read(spans)[0], *names) == [(3, None, 12304), (3, None, 12304), (950, 800, 50)]
    assert values(read(spans, input_tokens="without_cache")[0], "input_tokens")[2] == 1800


def test_reasoning_is_part_of_output(read):
    inside = chat(1, gen_ai__usage__output_tokens=1578, gen_ai__usage__reasoning__output_tokens=952)
    beside = chat(2, gen_ai__usage__output_tokens=20, gen_ai__usage__reasoning__output_tokens=300)
    assert values(read(document(inside, beside))[0], "output_tokens", "reasoning_tokens") == [(1578, 952), (320, 300)]


def test_own_fleet_by_vllms_spans(read):
    told = {
        "gen_ai.request.id": "chatcmpl-9-0", "gen_ai.response.model": "llama-3-8b", "gen_ai.usage.prompt_tokens": 1335,
        "gen_ai.usage.completion_tokens": 64, "gen_ai.latency.e2e": 1.5, "gen_ai.latency.time_in_queue": 0.125,
        "gen_ai.latency.time_to_first_token": 0.375, "gen_ai.latency.time_in_model_prefill": 0.25, "gen_ai.latency.time_in_model_decode": 1.125,
    }  # fmt: skip
    served = document(span(1, "", "llm_request", 1.5, told, kind=2), service="vllm-server", **{"k8s.pod.uid": "uid-1"})
    ((row,), _) = read(served)
    wanted = {
        "provider": None, "model": "llama-3-8b", "input_tokens": 1335, "output_tokens": 64, "queue_ms": 125, "time_to_first_token_ms": 375,
        "prefill_ms": 250, "decode_ms": 1125, "latency_ms": 1500, "holding_id": "uid-1", "kind": "chat",
        "request_id": "5b8efff798038103d269b633813fc60c-0000000000000001",
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    # a host of one's own behind OpenAI's protocol
    (row,) = read(chat(server__address="llm.serving.svc"), own=["*.svc"])[0]
    assert row["provider"] is None


def test_a_call_around_another_counts_once(read):
    client = chat(1, tenant__id="acme", seconds=3)
    http = span(2, "0000000000000001", "POST", 2.9, {"http.request.method": "POST"})
    server = span(
        3, "0000000000000002", "llm_request", 2, {"gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20}, kind=2
    )
    agent = span(4, "", "invoke_agent", 9, {"gen_ai.operation.name": "invoke_agent"})
    # a tool that asks a model within a call is another call
    tool = span(5, "0000000000000001", "execute_tool", 1, {"gen_ai.operation.name": "execute_tool"})
    good, _ = read(document(client, http, server, agent))
    assert values(good, "request_id", "tenant") == [("5b8efff798038103d269b633813fc60c-0000000000000003", "acme")]
    within = chat(6, "0000000000000005")
    assert len(read(document(client, tool, within))[0]) == 2


def test_tries_are_rows(read):
    failed = chat(1, drop=["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"], error__type="429", idempotency_key="k")
    broken = chat(2, idempotency_key="k") | {"status": {"code": "STATUS_CODE_ERROR"}}
    won = chat(3, idempotency_key="k", retry_of="x", gen_ai__response__id="r3")
    good, _ = read(document(failed, broken, won))
    assert values(good, "idempotency_key", "retry_of", "status", "input_tokens") == [
        ("k", None, "429", None), ("k", None, "error", 100), ("k", "x", "ok", 100),
    ]  # fmt: skip


def test_dimensions_of_the_trace_and_of_options(read):
    root = span(1, "", "POST /ask", 4, {"customer": "beta", "user.id": "u-9", "app.part": "ask"})
    calls = document(root, chat(2, "0000000000000001"), chat(3, "0000000000000001", feature="own"), service="web", team="search")
    good, _ = read(calls, tenant="customer", feature=["feature", "app.part"])
    assert values(good, "tenant", "user_id", "feature", "team") == [("beta", "u-9", None, "search"), ("beta", "u-9", "own", "search")]
    with pytest.raises(ConfigError, match="option tenant is the name of a field"):
        read(calls, tenant=5)
    with pytest.raises(ConfigError, match="no option colour"):
        read(calls, colour="red")


def test_sampled_traces_are_weighted(read):
    kept_one_in_four = chat(1) | {"traceState": "ot=th:c,other=1"}
    assert values(read(document(kept_one_in_four, chat(2)))[0], "sample_weight") == [Decimal(4), None]


def test_lines_documents_and_other_spellings(read):
    lines = [document(chat(1)), document(chat(2, span_trace="0af7651916cd43dd8448eb211c80319c"))]
    assert len(read(*lines)[0]) == len(read(*lines, name="traces.json.gz")[0]) == 2
    whole = json.dumps({"resourceSpans": [one for line in lines for one in line["resourceSpans"]]}, indent=1)
    assert len(read(whole, name="traces.json")[0]) == 2
    snake = json.dumps(document(chat(1))).replace("resourceSpans", "resource_spans").replace("scopeSpans", "scope_spans")
    snake = snake.replace("traceId", "trace_id").replace("spanId", "span_id").replace("UnixNano", "_unix_nano").replace("_unix", "_unix")
    snake = snake.replace("startTime_unix", "start_time_unix").replace("endTime_unix", "end_time_unix")
    assert values(read(snake)[0], "latency_ms", "trace_id") == [(2000.0, "5b8efff798038103d269b633813fc60c")]
    # protobuf's usual form of bytes
    encoded = json.dumps(document(chat(1))).replace("5b8efff798038103d269b633813fc60c", "W47/95gDgQPSabYzgT/GDA==")
    assert values(read(encoded)[0], "trace_id") == ["5b8efff798038103d269b633813fc60c"]


def test_exports_that_were_retried(read):
    assert len(read(document(chat(1)), document(chat(1)))[0]) == 1


def test_bad_spans_and_lines(read):
    many = chat(1, gen_ai__usage__input_tokens="many")
    never = chat(2) | {"startTimeUnixNano": "0"}
    more = chat(3, gen_ai__usage__cache_read__input_tokens=500, gen_ai__usage__input_tokens=1)
    cut = json.dumps(document(chat(4)))[:200]
    good, faulty = read(document(many, never, more), {"resourceSpans": []} | {"x": 1}, '{"resourceLogs": []}', cut)
    assert values(good, "file_row", "input_tokens") == [(3, 501)]
    assert faulty == [
        (1, "gen_ai.usage.input_tokens", "is not a number"),
        (2, "requested_at", "is not a time"),
        (3, "resourceSpans", "is no list of spans: OTLP JSON of traces is wanted"),
        (4, "", "is not a JSON object"),
    ]
    with pytest.raises(DeliveryError, match="damaged"):
        read("{ not JSON")


def test_of_a_key_told_twice_the_first_counts(read):
    twice = chat(1)
    twice["attributes"] += attributes({"gen_ai.usage.input_tokens": 7})
    assert values(read(document(twice))[0], "input_tokens") == [100]
