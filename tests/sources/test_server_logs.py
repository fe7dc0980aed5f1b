"""Logs of model servers by example, as vLLM, TGI and Triton write them; made-up requests."""

import gzip
import json
from datetime import datetime
from decimal import Decimal

import pytest
from reader_rows import values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import tgi_log, triton_log, vllm_log

PARAMETERS = "parameters=GenerateParameters { best_of: None, max_new_tokens: Some(20), stop: [], seed: None }"
TIMES = (
    'total_time="986.532642ms" validation_time="681.374µs" queue_time="188.125µs" inference_time="985.66325ms" time_per_token="49.283162ms"'
)


@pytest.fixture
def read(typed, tmp_path):
    """Read a log with one of the readers; the good rows, the faulty ones."""

    def read(reader, content, name="server-2026.log", **options):
        file = tmp_path / name
        content = content if isinstance(content, str) else json.dumps(content)
        file.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return typed(reader, file, options=options)

    return read


def test_tgi_as_printed(read):
    http = "INFO HTTP request{otel.name=POST /generate http.client_ip= http.route=/generate trace_id=d6e2778955d17bf523e3dc568754ef3e}:"
    lines = [
        "2026-03-01T10:00:00.000000Z  INFO text_generation_router::server: router/src/server.rs:2402: Connected",
        f'2026-03-01T10:00:05.986532Z  {http}generate{{{PARAMETERS} {TIMES} seed="None"}}: text_generation_router::server: router/src/server.rs:289: Success',
        '\x1b[2m2026-03-01T10:01:04.065504Z\x1b[0m \x1b[32m INFO\x1b[0m chat_completions{total_time="4.0655s" validation_time="20ns" queue_time="94.981µs"'
        ' inference_time="3.625371193s" time_per_token="38.982485ms" seed="Some(42)"}: text_generation_router::server: router/src/server.rs:402: Success',
        f"2026-03-01T10:02:00.000000Z ERROR generate{{{PARAMETERS}}}:async_stream: text_generation_router::infer: router/src/infer.rs:1: `inputs` must have less than 1024 tokens",
    ]  # fmt: skip
    good, faulty = read(tgi_log, "\n".join(lines) + "\n", model="llama-3-8b", holding="uid-1")
    assert faulty == []
    assert values(good, "file_row", "requested_at", "kind", "output_tokens", "latency_ms", "queue_ms", "status") == [
        (2, datetime(2026, 3, 1, 10, 0, 4, 999999), "completion", 20, 986.532642, 0.188125, "ok"),
        (3, datetime(2026, 3, 1, 10, 1, 0, 4), "chat", 93, 4065.5, 0.094981, "ok"),
        (4, datetime(2026, 3, 1, 10, 2), "completion", None, None, None, "error"),
    ]
    assert values(good, "trace_id", "model", "holding_id", "input_tokens")[0] == (
        "d6e2778955d17bf523e3dc568754ef3e",
        "llama-3-8b",
        "uid-1",
        None,
    )


def test_tgi_as_json_lines(read):
    span = {
        "name": "generate_stream",
        "total_time": "2s",
        "queue_time": "1.5ms",
        "inference_time": "1.9s",
        "time_per_token": "95ms",
        "parameters": "…",
    }
    lines = [
        {
            "timestamp": "2026-03-01T10:00:02Z",
            "level": "INFO",
            "message": "Success",
            "target": "text_generation_router::server",
            "span": span,
            "spans": [span],
        },
        {
            "timestamp": "2026-03-01T10:00:02Z",
            "level": "INFO",
            "message": "Success",
            "span": span | {"generated_tokens": "64", "prompt_tokens": "1335"},
        },
        {"timestamp": "2026-03-01T10:00:02Z", "level": "INFO", "message": "Warming up model", "target": "text_generation_router"},
    ]
    good, faulty = read(tgi_log, "\n".join(map(json.dumps, lines)) + "\n{cut", "tgi.jsonl.gz")
    assert values(good, "requested_at", "input_tokens", "output_tokens", "queue_ms") == [
        (datetime(2026, 3, 1, 10), None, 20, 1.5), (datetime(2026, 3, 1, 10), 1335, 64, 1.5),
    ]  # fmt: skip
    assert faulty == [(4, "", "is not a JSON object")]


def triton(number=1, at=2356425054587444, names=None, **said):
    """A traced request as Triton writes it: what it is, then its timestamps one by one."""
    steps = names or [
        "HTTP_RECV_START",
        "REQUEST_START",
        "QUEUE_START",
        "COMPUTE_START",
        "COMPUTE_END",
        "INFER_RESPONSE_COMPLETE",
        "REQUEST_END",
        "HTTP_SEND_END",
    ]
    stamps = [{"id": number, "timestamps": [{"name": name, "ns": at + place * 1_000_000}]} for place, name in enumerate(steps)]
    return [{"id": number, "model_name": "resnet", "model_version": 3, "request_id": f"r{number}"} | said, *stamps]


def test_triton_traces(read):
    content = [
        *triton(),
        *triton(2, parent_id=1),
        *triton(3, names=["REQUEST_START", "QUEUE_START"]),
        {"id": 1, "activity": "TENSOR_QUEUE_INPUT"},
    ]
    good, faulty = read(triton_log, content, "trace.json", boot_at="2026-02-01T00:00:00Z", rate=100)
    assert faulty == []
    assert values(good, "requested_at", "request_id", "kind", "model", "model_version", "queue_ms", "latency_ms", "sample_weight") == [
        (datetime(2026, 2, 28, 6, 33, 45, 54587), "r1", "prediction", "resnet", "3", 1.0, 7.0, Decimal(100)),
        (datetime(2026, 2, 28, 6, 33, 45, 54587), "r3", "prediction", "resnet", "3", None, None, Decimal(100)),
    ]
    since_1970 = triton(at=1772359200000000000)
    assert values(read(triton_log, since_1970, "trace.json")[0], "requested_at", "sample_weight") == [(datetime(2026, 3, 1, 10), None)]
    assert read(triton_log, [*since_1970, {"id": 9, "model_name": "resnet"}], "trace.json")[1] == [(10, "requested_at", "is missing")]


def test_triton_needs_to_know_its_clock(read):
    with pytest.raises(DeliveryError, match="option boot_at"):
        read(triton_log, triton(), "trace.json")
    with pytest.raises(ConfigError, match="boot_at is the moment"):
        read(triton_log, triton(), "trace.json", boot_at="yesterday")
    with pytest.raises(ConfigError, match="rate is Triton's own setting"):
        read(triton_log, triton(), "trace.json", rate=0)
    with pytest.raises(DeliveryError, match="damaged"):
        read(triton_log, json.dumps(triton())[:-9], "trace.json", boot_at="2026-02-01")


VLLM = """\
INFO 03-01 10:00:00 [api_server.py:1090] Starting vLLM API server on http://0.0.0.0:8000
(APIServer pid=7) INFO 03-01 10:00:01 [logger.py:40] Received request chatcmpl-a: prompt: 'say Received request x: prompt_token_ids: [9]', params: SamplingParams(n=1), prompt_token_ids: [1, 2, 3], prompt_embeds shape: None, lora_request: LoRARequest(lora_name='support', lora_int_id=1).
INFO 03-01 10:00:01 [async_llm.py:270] Added request chatcmpl-a.
INFO:     127.0.0.1:41234 - "POST /v1/chat/completions HTTP/1.1" 200 OK
INFO 03-01 10:00:02 [logger.py:40] Received request cmpl-b-0: params: SamplingParams(n=1), lora_request: None.
INFO 03-01 10:00:03 [logger.py:71] Generated response chatcmpl-a (streaming delta): output: 'a', output_token_ids: [7, 8], finish_reason: None
INFO 03-01 10:00:05 [logger.py:71] Generated response chatcmpl-a (streaming delta): output: 'b', output_token_ids: [9], finish_reason: stop
INFO 03-01 10:00:05 [logger.py:71] Generated response chatcmpl-a (streaming complete): output: 'ab', output_token_ids: None, finish_reason: streaming_complete
INFO 03-01 10:00:06 [async_llm.py:400] Aborted request cmpl-b-0.
"""


def test_vllms_log(read):
    good, faulty = read(vllm_log, VLLM, model="llama-3-8b")
    assert faulty == []
    assert values(good, "requested_at", "request_id", "kind", "input_tokens", "output_tokens", "time_to_first_token_ms", "latency_ms", "status", "variant") == [
        (datetime(2026, 3, 1, 10, 0, 1), "chatcmpl-a", "chat", 3, 3, 2000.0, 4000.0, "ok", "support"),
        (datetime(2026, 3, 1, 10, 0, 2), "cmpl-b-0", "completion", None, None, None, 4000.0, "aborted", None),
    ]  # fmt: skip
    assert "say" not in str(good)


def test_vllms_clock_and_cut_lists(read):
    (row, _), _ = read(vllm_log, VLLM, "server.log", year=2025, timezone="Europe/Berlin", max_log_len=3)
    assert (row["requested_at"], row["input_tokens"], row["output_tokens"]) == (datetime(2025, 3, 1, 9, 0, 1), None, 3)
    with pytest.raises(DeliveryError, match="vLLM prints no year"):
        read(vllm_log, VLLM, "server.log")
    with pytest.raises(ConfigError, match="option year is a whole number"):
        read(vllm_log, VLLM, year="last")


def test_vllms_log_as_json_lines(read):
    lines = [
        {
            "timestamp": "2026-03-01T10:00:01.250Z",
            "level": "INFO",
            "message": "Received request embd-1: params: PoolingParams(), lora_request: None.",
        },
        {"timestamp": "2026-03-01T10:00:01.500Z", "level": "INFO", "message": "Finished request embd-1."},
    ]
    (row,), faulty = read(vllm_log, "\n".join(map(json.dumps, lines)) + "\n{cut", "server.jsonl")
    assert (row["kind"], row["latency_ms"], row["output_tokens"]) == ("embedding", 250.0, None)
    assert faulty == [(3, "", "is not a JSON object")]
