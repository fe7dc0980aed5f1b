"""Langfuse's observations by example, as its API, its tables and its blob storage export write them; made-up people."""

import csv
import io
import json
from datetime import datetime
from decimal import Decimal

import pytest
from reader_rows import values

from tollbook.errors import ConfigError
from tollbook.sources import langfuse_observations


@pytest.fixture
def read(typed, tmp_path):
    """Read observations (a list is written as JSON lines); the good rows, the faulty ones."""

    def read(content, name="observations.jsonl", **options):
        file = tmp_path / name
        if isinstance(content, list):
            content = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in content)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return typed(langfuse_observations, file, options=options)

    return read


def generation(**changes):
    """An observation as the API tells it."""
    return {
        "id": "o1", "traceId": "t1", "type": "GENERATION", "name": "answer", "startTime": "2026-03-01T10:00:00.000Z",
        "endTime": "2026-03-01T10:00:02.500Z", "completionStartTime": "2026-03-01T10:00:00.400Z", "model": "gpt-4o-2024-11-20",
        "modelParameters": {"temperature": 1}, "input": "secret", "output": "secret", "version": "v3", "level": "DEFAULT", "statusMessage": None,
        "parentObservationId": "o0", "environment": "production", "promptName": "ask", "promptVersion": 4, "unit": "TOKENS",
        "usageDetails": {"input": 100, "output": 20, "total": 120}, "costDetails": {"input": 0.00025, "output": 0.0002, "total": 0.00045},
        "metadata": {"tenant": "acme", "build": 77}, "userId": "u-17", "sessionId": "s1", "tags": ["feature:ask", "beta"],
    } | changes  # fmt: skip


def exported(**changes):
    """An observation as the blob storage export writes it."""
    return {
        "id": "o1", "trace_id": "t1", "type": "GENERATION", "start_time": "2026-03-01 10:00:00.000000", "end_time": "2026-03-01 10:00:02.500000",
        "completion_start_time": None, "provided_model_name": "claude-haiku-4-5", "level": "ERROR", "status_message": "secret: u-17",
        "usage_details": {"input": 3, "output": 550, "cache_creation_input_tokens": 12304, "total": 12857}, "total_cost": 0.054399, "user_id": "u-17",
        "session_id": "s1", "trace_name": "ask", "tags": [], "metadata": {},
    } | changes  # fmt: skip


def test_a_generation_of_the_api(read):
    ((row,), faulty) = read([generation()])
    assert faulty == []
    assert json.loads(row.pop("other_columns")) == {
        "name": "answer", "version": "v3", "parentObservationId": "o0", "environment": "production", "promptName": "ask", "promptVersion": 4,
        "unit": "TOKENS", "sessionId": "s1", "tags": ["feature:ask", "beta"], "metadata": {"tenant": "acme", "build": 77},
    }  # fmt: skip
    assert {name: value for name, value in row.items() if value is not None} == {
        "requested_at": datetime(2026, 3, 1, 10), "request_id": "o1", "kind": "chat", "trace_id": "t1", "user_id": "u-17", "tenant": "acme",
        "feature": "ask", "provider": "OpenAI", "model": "gpt-4o-2024-11-20", "input_tokens": 100, "output_tokens": 20,
        "time_to_first_token_ms": 400.0, "latency_ms": 2500.0, "status": "ok", "logged_cost": Decimal("0.00045"), "logged_currency": "USD",
        "file_row": 1,
    }  # fmt: skip


def test_an_export_of_blob_storage(read):
    ((row,), _) = read([exported()])
    wanted = {
        "requested_at": datetime(2026, 3, 1, 10), "trace_id": "t1", "user_id": "u-17", "provider": "Anthropic", "model": "claude-haiku-4-5",
        "input_tokens": 3, "cache_write_tokens": 12304, "output_tokens": 550, "time_to_first_token_ms": None, "latency_ms": 2500.0,
        "status": "error", "feature": "ask", "logged_cost": Decimal("0.054399"),
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    assert "secret" not in str(row)


def test_kinds_of_usage(read):
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    apart = {"input": 200, "input_cached_tokens": 800, "output": 626, "output_reasoning_tokens": 952, "total": 2578}
    # the total is input and output alone: the others are in them
    within = {"input": 1000, "input_cached_tokens": 800, "output": 1578, "output_reasoning_tokens": 952, "total": 2578}
    no_total = {"input": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 12304, "output": 550}
    hours = {"input": 3, "input_cache_creation": 50, "input_cache_creation_1h": 50, "input_audio_tokens": 7, "output_audio_tokens": 2}
    good, _ = read([generation(usageDetails=one) for one in (apart, within, no_total, hours, {})])
    assert values(good, *names) == [
        (1000, 800, None, 1578, 952), (1000, 800, None, 1578, 952), (8, 5, 12304, 550, None), (10, None, 50, 2, None), (None,) * 5,
    ]  # fmt: skip
    assert values(good, "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens")[3] == (50, 7, 2)


def test_only_calls_of_models(read):
    others = [generation(type=one) for one in ("SPAN", "EVENT", "TOOL", "AGENT", "RETRIEVER")]
    embedding = generation(id="e", type="EMBEDDING", model="text-embedding-3-small", usageDetails={"input": 9, "total": 9})
    good, _ = read({"data": [*others, embedding, generation()], "meta": {"page": 1}}, name="page.json")
    assert values(good, "file_row", "kind", "input_tokens", "output_tokens") == [(6, "embedding", 9, None), (7, "chat", 100, 20)]


def test_who_bills(read):
    lines = [
        generation(model="llama-3-8b"),
        generation(model="claude-sonnet-4-5", metadata={"ls_provider": "bedrock"}),
        generation(model="house-model"),
        generation(model="gpt-4o", metadata={"tenant": "acme"}),
    ]
    good, _ = read(lines, by_model={"llama*": "vllm", "gpt-4*": "Azure OpenAI", "house*": "House"})
    assert values(good, "provider") == [None, "AWS", "House", "Azure OpenAI"]
    with pytest.raises(ConfigError, match="by_model maps patterns"):
        read(lines, by_model="gpt")


def test_exports_of_tables(read):
    rows = [generation(), generation(id="o2", level="ERROR", usageDetails=None)]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in row.items()} for row in rows])
    good, _ = read(text.getvalue(), "observations.csv")
    assert values(good, "request_id", "tenant", "feature", "input_tokens", "status", "logged_cost") == [
        ("o1", "acme", "ask", 100, "ok", Decimal("0.00045")), ("o2", "acme", "ask", None, "error", Decimal("0.00045")),
    ]  # fmt: skip


def test_bad_rows(read):
    lines = [
        generation(),
        generation(usageDetails={"input": "many"}),
        generation(startTime="soon"),
        generation(usageDetails="{'input': 3}"),
        "{cut",
    ]
    good, faulty = read(lines)
    assert values(good, "file_row") == [1]
    assert faulty == [
        (2, "usageDetails.input", "is not a number"), (3, "requested_at", "is not a time"),
        (4, "usageDetails", "is no JSON object: export it as JSON"), (5, "", "is not a JSON object"),
    ]  # fmt: skip
