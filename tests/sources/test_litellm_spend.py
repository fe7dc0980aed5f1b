"""LiteLLM's spend logs by example, as its proxy writes them; made-up people."""

import csv
import gzip
import io
import json
from datetime import datetime
from decimal import Decimal

import pytest
from reader_rows import values

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import litellm_spend


@pytest.fixture
def read(typed, tmp_path):
    """Read spend logs (a list is written as JSON lines); the good rows, the faulty ones."""

    def read(content, name="spend.jsonl", **options):
        file = tmp_path / name
        if isinstance(content, list):
            content = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in content)
        data = content.encode() if isinstance(content, str) else content
        file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return typed(litellm_spend, file, options=options)

    return read


def call(usage=None, metadata=None, **changes):
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120} | (usage or {})
    return {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 1.2e-05, "total_tokens": usage["total_tokens"], "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"], "startTime": "2026-03-01T10:00:00.100000Z", "endTime": "2026-03-01T10:00:02.350000Z",
        "completionStartTime": "2026-03-01T10:00:00.600000Z", "model": "gpt-4o-mini", "model_id": "7f3a", "model_group": "fast",
        "custom_llm_provider": "openai", "api_base": "https://api.openai.com/v1/", "user": "u-17", "end_user": "", "team_id": "t-9",
        "organization_id": "", "cache_hit": "False", "cache_key": "Cache OFF", "request_tags": ["tenant:acme", "feature:search", "User-Agent: x"],
        "session_id": "trace-5", "requester_ip_address": "10.9.8.7", "messages": "{}", "response": "{}", "proxy_server_request": "{}",
        "status": "success",
        "metadata": {
            "user_api_key": "88dc28d0", "user_api_key_alias": "search-prod", "user_api_key_team_alias": "search", "user_api_key_user_id": "u-17",
            "user_api_key_user_email": "u17@example.org", "status": "success", "usage_object": usage, "litellm_overhead_time_ms": 3.5,
            "cost_breakdown": {"input_cost": 1e-06, "output_cost": 1.1e-05},
        } | (metadata or {}),
    } | changes  # fmt: skip


ANTHROPIC = {"model": "claude-sonnet-4-5", "custom_llm_provider": "anthropic", "api_base": "https://api.anthropic.com"}


def test_a_call_as_the_proxy_writes_it(read):
    ((row,), faulty) = read([call()])
    assert faulty == []
    other = json.loads(row.pop("other_columns"))
    assert other == {
        "model_id": "7f3a", "model_group": "fast", "api_base": "https://api.openai.com/v1/", "organization_id": "",
        "request_tags": ["tenant:acme", "feature:search", "User-Agent: x"],
        "metadata": {
            "user_api_key_alias": "search-prod", "user_api_key_team_alias": "search", "litellm_overhead_time_ms": 3.5,
            "cost_breakdown": {"input_cost": 1e-06, "output_cost": 1.1e-05},
        },
    }  # fmt: skip
    assert {name: value for name, value in row.items() if value is not None} == {
        "requested_at": datetime(2026, 3, 1, 10, 0, 0, 100000), "request_id": "chatcmpl-1", "kind": "chat", "trace_id": "trace-5",
        "user_id": "u-17", "team": "search", "tenant": "acme", "feature": "search", "provider": "OpenAI", "model": "gpt-4o-mini",
        "variant": "fast", "input_tokens": 100, "output_tokens": 20, "time_to_first_token_ms": 500.0, "latency_ms": 2250.0,
        "is_cached": False, "status": "success", "logged_cost": Decimal("0.00001200000000000000"), "logged_currency": "USD", "file_row": 1,
    }  # fmt: skip


def test_cache_writes_are_counted_once(read):
    # 3 input, 12,304 written, 550 output: prompt_tokens of LiteLLM has what was written in it
    usage = {
        "prompt_tokens": 12307, "completion_tokens": 550, "total_tokens": 12857, "cache_creation_input_tokens": 12304,
        "cache_read_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 3},
    }  # fmt: skip
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    told = {**usage, "prompt_tokens_details": None}
    # versions that leave out the cache for Anthropic's own call type
    apart = {**usage, "prompt_tokens": 3, "total_tokens": 553}
    good, faulty = read([call(usage, **ANTHROPIC), call(told, **ANTHROPIC), call(apart, call_type="anthropic_messages", **ANTHROPIC)])
    assert (values(good, *names), faulty) == ([(3, 0, 12304, 550)] * 3, [])


def test_cache_reads_are_part_of_input_wherever_they_were_counted(read):
    details = {"prompt_tokens_details": {"cached_tokens": 800}}
    both = {"cache_read_input_tokens": 2000, "cache_creation_input_tokens": 500, "prompt_tokens": 3500}
    # more uncached text than cache: only text_tokens can tell that the prompt is without the cache
    without = {
        "cache_read_input_tokens": 2000,
        "prompt_tokens": 3500,
        "prompt_tokens_details": {"text_tokens": 3500, "cached_tokens": 2000},
    }
    lines = [call({"prompt_tokens": 1000, **details}), call(both, **ANTHROPIC), call(without, **ANTHROPIC)]
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens")
    assert values(read(lines)[0], *names) == [(1000, 800, None), (3000, 2000, 500), (5500, 2000, None)]
    assert values(read(lines, input_tokens="without_cache")[0], "input_tokens") == [1800, 5500, 5500]
    assert values(read(lines, input_tokens="all")[0], "input_tokens") == [1000, 3000, 3500]
    with pytest.raises(ConfigError, match="input_tokens is 'some'"):
        read(lines, input_tokens="some")


def test_kept_for_an_hour_reasoned_heard_and_searched(read):
    usage = {
        "cache_creation_input_tokens": 60, "service_tier": "default", "server_tool_use": {"web_search_requests": 2},
        "prompt_tokens_details": {
            "cached_tokens": 10, "audio_tokens": 7, "image_tokens": 5,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 40},
        },
        "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 3},
    }  # fmt: skip
    ((row,), _) = read([call(usage)])
    wanted = {
        "cache_write_tokens": 60, "cache_write_1h_tokens": 40, "reasoning_tokens": 12, "input_audio_tokens": 7, "output_audio_tokens": 3,
        "input_image_tokens": 5, "search_count": 2, "tier": "standard", "output_tokens": 20,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


def test_kinds_of_calls(read):
    kinds = {
        "completion": "chat", "aresponses": "chat", "anthropic_messages": "chat", "atext_completion": "completion", "aembedding": "embedding",
        "aimage_generation": "image", "atranscription": "audio", "arerank": "rerank", "amoderation": "guardrail", "aretrieve_batch": "chat",
    }  # fmt: skip
    good, _ = read([call(call_type=one) for one in kinds])
    assert values(good, "kind") == list(kinds.values())
    assert values(good, "tier")[-1] == "batch"
    # what asks no model is no request
    assert read([call(call_type="acreate_file"), call(call_type="call_mcp_tool"), call()])[0][0]["file_row"] == 3


def test_embeddings_have_no_first_token(read):
    usage = {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12}
    ended = "2026-03-01T10:00:02.350000Z"
    ((row,), _) = read([call(usage, call_type="aembedding", completionStartTime=ended)])
    assert (row["input_tokens"], row["output_tokens"], row["time_to_first_token_ms"], row["latency_ms"]) == (12, 0, None, 2250.0)


def test_failures_say_what_failed_and_retries_are_rows(read):
    failed = {
        "status": "failure",
        "error_information": {"error_code": "429", "error_class": "RateLimitError", "error_message": "u-17: slow down"},
    }
    spend = {"spend_logs_metadata": {"idempotency_key": "k1"}}
    lines = [
        call({"prompt_tokens": 0, "completion_tokens": 0}, failed | spend, request_id="a", status="failure", spend=0.0),
        call(None, {"spend_logs_metadata": {"idempotency_key": "k1", "retry_of": "a"}}, request_id="b"),
    ]
    good, _ = read(lines)
    assert values(good, "request_id", "idempotency_key", "retry_of", "status", "logged_cost") == [
        ("a", "k1", None, "429", 0), ("b", "k1", "a", "success", Decimal("0.000012")),
    ]  # fmt: skip


def test_answers_from_litellms_own_cache(read):
    ((row,), _) = read([call(cache_hit="True", cache_key="5fd2c1", request_id="chatcmpl-1_cache_hit1772359200.5", spend=0)])
    assert (row["is_cached"], row["prompt_hash"], row["logged_cost"]) == (True, "5fd2c1", 0)


def test_who_bills(read):
    lines = [
        call(custom_llm_provider="bedrock", model="bedrock/eu.anthropic.claude-haiku-4-5"),
        call(custom_llm_provider="hosted_vllm", model="hosted_vllm/llama-3-8b", api_base="http://vllm.serving.svc.cluster.local:8000/v1"),
        call(api_base="http://10.0.0.5:8000/v1"),
        call(custom_llm_provider="cerebras"),
    ]
    good, _ = read(lines, own=["hosted_vllm", "10.0.0.*"], providers={"cerebras": "Cerebras Inc"})
    assert values(good, "provider", "model") == [
        ("AWS", "eu.anthropic.claude-haiku-4-5"), (None, "llama-3-8b"), (None, "gpt-4o-mini"), ("Cerebras Inc", "gpt-4o-mini"),
    ]  # fmt: skip


def test_options_place_the_dimensions(read):
    spend = {"spend_logs_metadata": {"client": "beta", "arm": "b"}}
    options = {"tenant": "metadata.spend_logs_metadata.client", "variant": ["tag:arm", "metadata.spend_logs_metadata.arm"], "user": "user"}
    ((row,), _) = read([call(None, spend, end_user="c-1")], **options)
    assert (row["tenant"], row["variant"], row["user_id"]) == ("beta", "b", "u-17")
    assert read([call(end_user="c-1")])[0][0]["user_id"] == "c-1"
    with pytest.raises(ConfigError, match="no option colour"):
        read([call()], colour="red")


def test_tables_of_the_database(read, db, tmp_path):
    rows = [call(), call({"prompt_tokens": 12307, "cache_creation_input_tokens": 12304}, request_id="chatcmpl-2", **ANTHROPIC)]
    flat = [{name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()} for row in rows]
    for row in flat:
        row["startTime"] = row["startTime"].replace("T", " ").removesuffix("Z")
        row["endTime"] = row["endTime"].replace("T", " ").removesuffix("Z")
        row["completionStartTime"] = ""
    text = io.StringIO()
    writer = csv.DictWriter(text, flat[0])
    writer.writeheader()
    writer.writerows(flat)
    names = ("requested_at", "request_id", "input_tokens", "cache_write_tokens", "tenant", "team", "latency_ms")
    wanted = [
        (datetime(2026, 3, 1, 10, 0, 0, 100000), "chatcmpl-1", 100, None, "acme", "search", 2250.0),
        (datetime(2026, 3, 1, 10, 0, 0, 100000), "chatcmpl-2", 3, 12304, "acme", "search", 2250.0),
    ]
    assert values(read(text.getvalue(), "spend.csv")[0], *names) == wanted
    (tmp_path / "all.json").write_text(json.dumps(rows))
    db.execute(f"copy (from read_json('{tmp_path / 'all.json'}')) to '{tmp_path / 'made.parquet'}'")
    assert values(read((tmp_path / "made.parquet").read_bytes(), "spend.parquet")[0], *names) == wanted
    assert values(read(json.dumps(rows), "spend.json")[0], *names) == wanted
    assert values(read([rows[0], rows[1]], "spend.jsonl.gz")[0], *names) == wanted


def test_bad_rows_are_kept_apart(read):
    cut = json.dumps(call())[:80]
    lines = [call(), call(prompt_tokens="many"), call(startTime="soon"), call(spend=0), cut]
    lines[3]["metadata"] = "{'usage_object': {}}"
    good, faulty = read(lines)
    assert values(good, "file_row") == [1]
    assert faulty == [
        (2, "prompt_tokens", "is not a number"),
        (3, "requested_at", "is not a time"),
        (4, "metadata", "is no JSON object, so its cached tokens are not known: export it as JSON"),
        (5, "", "is not a JSON object"),
    ]


def test_files_that_cannot_be_read(read):
    with pytest.raises(DeliveryError, match="empty"):
        read("")
    with pytest.raises(DeliveryError, match="damaged"):
        read("not JSON at all")
