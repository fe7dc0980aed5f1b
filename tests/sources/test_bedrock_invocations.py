"""Bedrock's model invocation logs by example, as they lie in S3; made-up accounts and people."""

import gzip
import json
from datetime import datetime

import pytest
from reader_rows import values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import bedrock_invocations


@pytest.fixture
def read(typed, tmp_path):
    """Read records as one gzipped file of lines; the good rows, the faulty ones."""

    def read(*lines, name="20260301T100000000Z_ab12.json.gz", **options):
        file = tmp_path / name
        data = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines).encode()
        file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return typed(bedrock_invocations, file, options=options)

    return read


def invocation(input=None, output=None, **changes):
    return {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2026-03-01T10:00:00Z", "accountId": "111122223333",
        "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/search-api/u17@example.org"}, "region": "eu-central-1",
        "inferenceRegion": "eu-west-1", "requestId": "e1c0", "operation": "Converse", "modelId": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "requestMetadata": {"team": "search", "tenant": "acme", "feature": "ask", "user_id": "u-17", "build": "77"},
        "input": {"inputContentType": "application/json", "inputBodyJson": {"messages": [{"role": "user", "content": "secret"}]}, "inputTokenCount": 20} | (input or {}),
        "output": {"outputContentType": "application/json", "outputBodyJson": {"output": "secret", "metrics": {"latencyMs": 812}}, "outputTokenCount": 7} | (output or {}),
    } | changes  # fmt: skip


def test_an_invocation(read):
    ((row,), faulty) = read(invocation())
    assert faulty == []
    assert json.loads(row.pop("other_columns")) == {
        "accountId": "111122223333", "inferenceRegion": "eu-west-1", "operation": "Converse", "role": "search-api",
        "modelId": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "requestMetadata": {"team": "search", "tenant": "acme", "feature": "ask", "build": "77"},
    }  # fmt: skip
    assert {name: value for name, value in row.items() if value is not None} == {
        "requested_at": datetime(2026, 3, 1, 10), "request_id": "e1c0", "kind": "chat", "user_id": "u-17", "team": "search", "tenant": "acme",
        "feature": "ask", "provider": "AWS", "model": "anthropic.claude-haiku-4-5-20251001-v1:0", "region": "eu-central-1", "input_tokens": 20,
        "output_tokens": 7, "latency_ms": 812.0, "status": "success", "file_row": 1,
    }  # fmt: skip
    assert "secret" not in str(row)


def test_cache_tokens_are_beside_the_input(read):
    cached = invocation(
        {"inputTokenCount": 3, "cacheReadInputTokenCount": 800, "cacheWriteInputTokenCount": 12304}, {"outputTokenCount": 550}
    )
    body = {
        "usage": {
            "input_tokens": 3,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 40,
            "cache_creation": {"ephemeral_1h_input_tokens": 40},
        }
    }
    by_body = invocation({"inputTokenCount": 3}, {"outputBodyJson": body})
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    assert values(read(cached, by_body)[0], *names) == [(803, 800, 12304, None), (8, 5, 40, 40)]


def test_models_profiles_and_provisioned_throughput(read):
    arn = "arn:aws:bedrock:eu-central-1:111122223333:"
    ids = [
        "amazon.titan-embed-text-v2:0", "arn:aws:bedrock:eu-central-1::foundation-model/cohere.rerank-v3-5:0",
        arn + "inference-profile/global.anthropic.claude-sonnet-4-5", arn + "application-inference-profile/p1", arn + "provisioned-model/t1",
        arn + "imported-model/i1", "amazon.nova-canvas-v1:0",
    ]  # fmt: skip
    good, _ = read(*[invocation(modelId=one) for one in ids], models={"p1": "anthropic.claude-haiku", "t1": "meta.llama3"})
    assert values(good, "model", "kind", "tier", "variant") == [
        ("amazon.titan-embed-text-v2:0", "embedding", None, None), ("cohere.rerank-v3-5:0", "rerank", None, None),
        ("anthropic.claude-sonnet-4-5", "chat", None, None), ("anthropic.claude-haiku", "chat", None, "p1"),
        ("meta.llama3", "chat", "provisioned", "t1"), ("i1", "chat", None, "i1"), ("amazon.nova-canvas-v1:0", "image", None, None),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="option models maps ids"):
        read(invocation(), models=["p1"])


def test_streams_tell_their_metrics_last(read):
    events = [
        {"type": "message_start"},
        {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 20, "invocationLatency": 1500, "firstByteLatency": 250}},
    ]
    streamed = invocation(None, {"outputBodyJson": events}, operation="InvokeModelWithResponseStream")
    assert values(read(streamed)[0], "time_to_first_token_ms", "latency_ms") == [(250.0, 1500.0)]


def test_embeddings_and_failures(read):
    embedded = invocation(output={"outputTokenCount": None}, modelId="cohere.embed-v4:0", operation="InvokeModel")
    failed = invocation(errorCode="ThrottlingException", output={"outputTokenCount": None, "outputBodyJson": None}, requestMetadata=None)
    good, _ = read(embedded, failed)
    assert values(good, "kind", "output_tokens", "status", "tenant") == [
        ("embedding", None, "success", "acme"), ("chat", None, "ThrottlingException", None),
    ]  # fmt: skip


def test_options_and_bad_lines(read):
    good, faulty = read(
        invocation(),
        invocation({"inputTokenCount": "many"}),
        {"schemaType": "Other"},
        invocation(timestamp=None),
        "{cut",
        tenant="requestMetadata.build",
    )
    assert values(good, "tenant", "file_row") == [("77", 1)]
    assert faulty == [
        (2, "input.inputTokenCount", "is not a number"), (3, "schemaType", "is no ModelInvocationLog"), (4, "requested_at", "is missing"),
        (5, "", "is not a JSON object"),
    ]  # fmt: skip
    with pytest.raises(DeliveryError, match="JSON lines"):
        read("a,b\n1,2\n", name="log.csv")
