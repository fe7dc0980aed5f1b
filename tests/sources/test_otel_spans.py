"""Spans of OpenTelemetry by example, as the Collector's file exporter writes them; made-up people."""

import json
from datetime import datetime

import pytest
from otlp import TRACE, document, span
from reader_rows import values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import otel_genai, otel_spans


@pytest.fixture
def read(typed, tmp_path):
    """Read documents as lines of one file; the good rows, the faulty ones."""

    def read(*documents, reader=otel_spans, name="traces.jsonl", **options):
        file = tmp_path / name
        file.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in documents))
        return typed(reader, file, options=options)

    return read


def test_a_span_of_a_job(read):
    told = {
        "job.id": "nightly-7", "http.request.method": "POST", "http.request.body.size": 1200, "http.response.body.size": 34000,
        "server.address": "store.internal", "url.full": "https://store.internal/x?token=secret", "user.email": "u17@example.org",
    }  # fmt: skip
    ((row,), faulty) = read(document(span(1, "00000000000000aa", "POST /put", 1.5, told), service="loader"))
    assert faulty == []
    assert json.loads(row.pop("attributes")) == {
        "job.id": "nightly-7", "http.request.method": "POST", "http.request.body.size": "1200", "http.response.body.size": "34000",
        "server.address": "store.internal",
    }  # fmt: skip
    assert row == {
        "trace_id": TRACE, "span_id": "0000000000000001", "parent_span_id": "00000000000000aa", "name": "POST /put", "service": "loader",
        "kind": "client", "started_at": datetime(2026, 3, 1, 10), "ended_at": datetime(2026, 3, 1, 10, 0, 1, 500000), "is_error": False,
        "job_id": "nightly-7", "request_id": None, "peer_service": "store.internal", "bytes_in": 34000, "bytes_out": 1200, "file_row": 1,
    }  # fmt: skip


def test_a_server_sends_its_response(read):
    told = {"http.request_content_length": 10, "http.response_content_length": 20}
    spans = document(
        span(1, "", "GET", 1, told, kind=2), span(2, "", "GET", 1, told, kind="SPAN_KIND_CLIENT"), span(3, "", "x", 1, {}, kind=1)
    )
    assert values(read(spans)[0], "kind", "bytes_in", "bytes_out") == [("server", 10, 20), ("client", 20, 10), ("internal", None, None)]


def test_who_names_the_job(read):
    spans = [
        document(span(1, "", "a", 1, {"dag_run.run_id": "run-1"}), span(2, "", "b", 1, {})),
        document(span(3, "", "c", 1, {}), **{"k8s.job.name": "train-5"}),
        document(span(4, "", "d", 1, {"my.job": "m", "job.id": "n"})),
    ]
    assert values(read(*spans)[0], "job_id") == ["run-1", None, "train-5", "n"]
    assert values(read(*spans, job=["my.job", "job.id"])[0], "job_id") == [None, None, None, "m"]
    with pytest.raises(ConfigError, match="no option team"):
        read(*spans, team="x")


def test_calls_of_models_have_the_same_id_in_both_tables(read):
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    spans = document(
        span(1, "", "chat", 1, call | {"gen_ai.response.id": "r1"}), span(2, "", "chat", 1, call),
        span(3, "", "execute_tool", 1, {"gen_ai.operation.name": "execute_tool"}),
    )  # fmt: skip
    ids = values(read(spans)[0], "request_id")
    assert ids == ["r1", f"{TRACE}-0000000000000002", None]
    assert values(read(spans, reader=otel_genai)[0], "request_id") == ids[:2]


def test_errors_and_bad_spans(read):
    failed = span(1, "", "a", 1, {}) | {"status": {"code": 2, "message": "u17@example.org not found"}}
    backwards = span(2, "", "b", -1, {})
    endless = span(3, "", "c", 1, {}) | {"endTimeUnixNano": "0"}
    nameless = span(4, "", "d", 1, {}) | {"traceId": ""}
    good, faulty = read(document(failed, backwards, endless, nameless), json.dumps(document(failed))[:99])
    assert values(good, "file_row", "is_error") == [(1, True)]
    assert faulty == [
        (2, "", "is not a JSON object"), (2, "ended_at", "ends before it starts"), (3, "ended_at", "is missing"), (4, "trace_id", "is missing"),
    ]  # fmt: skip
    assert "example.org" not in str(good)


def test_other_kinds_of_files(read):
    with pytest.raises(DeliveryError, match="spans come as OTLP JSON"):
        read("trace_id,span_id\n1,2\n", name="spans.csv")
