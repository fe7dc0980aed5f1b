"""The sources that docs/requests.md maps by a `select`: each runs as it stands there, on records as its program writes them; made-up people."""

import json
import re
from datetime import datetime

import pytest
import yaml

from tollbook import pipeline
from tollbook.workspace import Settings

TEN = datetime(2026, 3, 1, 10)


def blocks(repo):
    return [
        yaml.safe_load(one)
        for one in re.findall(r"^```yaml\n(.*?)^```", (repo / "docs" / "requests.md").read_text(), re.DOTALL | re.MULTILINE)
    ]


@pytest.fixture
def load(repo, workspace, ask):
    """Load records, one a line, as the documented source; the requests, by id."""

    def load(name, records, columns):
        source = next(source for block in blocks(repo) if isinstance(block, list) for source in block if source["name"] == name)
        lines = "\n".join(map(json.dumps, records))
        made = workspace(yaml.safe_dump({"currency": "USD", "sources": [source]}), {source["path"].replace("*", "1"): lines})
        (report,) = pipeline.load(made, tell=lambda _: None)
        assert (report.failures, report.quarantined) == ([], 0)
        return ask(made, f"select {columns} from raw.requests order by request_id")

    return load


def test_sources_of_the_first_example_are_settings(repo):
    (example,) = [block for block in blocks(repo) if isinstance(block, dict)]
    assert [source.table for source in Settings(currency="USD", **example).sources] == ["requests", "requests", "spans", "requests"]


def test_azure_api_management(load):
    record = {
        "time": "2026-03-01T10:00:00.0000000Z", "category": "GatewayLlmLogs", "operationName": "Microsoft.ApiManagement/GatewayLlmLogs",
        "location": "West Europe", "correlationId": "c1",
        "properties": {
            "sequenceNumber": 0, "modelName": "gpt-4o", "deploymentName": "prod-4o", "promptTokens": 100, "completionTokens": 20, "totalTokens": 120,
            "isStreamCompletion": True,
        },
    }  # fmt: skip
    more = record | {"properties": {"sequenceNumber": 1, "modelName": "gpt-4o", "deploymentName": "prod-4o"}}
    columns = "requested_at, request_id, provider, model, variant, region, input_tokens, output_tokens"
    assert load("azure_gateway", [record, more], columns) == [(TEN, "c1", "Microsoft", "gpt-4o", "prod-4o", "West Europe", 100, 20)]


def test_vertex_ai(load):
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 800,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 300,
        "totalTokenCount": 1320,
    }
    record = {
        "endpoint": "projects/acme/locations/europe-west4/publishers/google", "deployed_model_id": "", "logging_time": "2026-03-01 10:00:00 UTC",
        "request_id": "7012345678901234567", "model": "publishers/google/models/gemini-2.5-pro", "model_version": "default", "api_method": "generateContent",
        "full_request": {"labels": {"team": "search", "tenant": "acme"}, "contents": []}, "full_response": {"usageMetadata": usage}, "metadata": {"latency_ms": 812.5},
    }  # fmt: skip
    plain = json.loads(json.dumps(record)) | {
        "request_id": "8",
        "full_response": {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1}},
    }
    columns = "requested_at, request_id, model, region, team, tenant, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_ms"
    assert load("vertex", [record, plain], columns) == [
        (TEN, "7012345678901234567", "gemini-2.5-pro", "europe-west4", "search", "acme", 1000, 800, 320, 300, 812.5),
        (TEN, "8", "gemini-2.5-pro", "europe-west4", "search", "acme", 5, None, 1, None, 812.5),
    ]


def test_nginx(load):
    line = {
        "msec": "1772359202.500", "request_id": "a1", "uri": "/v1/chat/completions", "status": "200", "request_time": "2.500",
        "upstream_header_time": "0.250", "request_length": "1200", "bytes_sent": "34000", "remote_user": "grace-example", "tenant": "acme", "retry_of": "",
        "traceparent": "00-5b8efff798038103d269b633813fc60c-00f067aa0ba902b7-01",
    }  # fmt: skip
    failed = line | {
        "request_id": "a2",
        "uri": "/v1/embeddings",
        "status": "502",
        "upstream_header_time": "-",
        "retry_of": "a1",
        "remote_user": "",
    }
    columns = "requested_at, request_id, kind, retry_of, trace_id, tenant, time_to_first_token_ms, latency_ms, bytes_in, bytes_out, status, length(user_id)"
    trace = "5b8efff798038103d269b633813fc60c"
    assert load("nginx", [line, failed, line | {"uri": "/health", "request_id": "a3"}], columns) == [
        (TEN, "a1", "chat", None, trace, "acme", 250, 2500, 1200, 34000, "200", 64),
        (TEN, "a2", "embedding", "a1", trace, "acme", None, 2500, 1200, 34000, "502", None),
    ]
