"""Users' ids in request logs become pseudonyms while loading: delivered ids stand nowhere in the warehouse."""

import csv
import hashlib
import hmac
import io
import json
import stat

import pytest

from tollbook import pipeline
from tollbook.landing import pseudonyms
from tollbook.workspace import Workspace

ALICE = "alice.example@example.org"
MAPPED = """
currency: USD
sources:
  - name: gateway
    table: requests
    path: landing/*.csv
    select: |
      select at::timestamptz as requested_at, id as request_id, who as user_id, tokens::bigint as input_tokens, ms::double as latency_ms,
        {'note': note, 'who': who}::json::varchar as other_columns
      from delivery
"""


def load(workspace):
    return [(report.failures, report.rows, report.quarantined) for report in pipeline.load(workspace, tell=lambda _: None)]


def rows(*people, **changes):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["at", "id", "who", "tokens", "ms", "note"], lineterminator="\n")
    writer.writeheader()
    for number, who in enumerate(people):
        writer.writerow({"at": "2026-03-01T10:00:00Z", "id": f"r{number}", "who": who, "tokens": 5, "ms": 1.5, "note": "x"} | changes)
    return text.getvalue()


def keyed(workspace, who):
    """The pseudonym as the standard library reckons it."""
    key = pseudonyms.key_file(workspace).read_text().strip()
    return hmac.new(key.encode(), who.encode(), hashlib.sha256).hexdigest()


def holds(workspace, ask, *words):
    """The tables of raw and meta that have one of the words anywhere."""
    tables = ask(workspace, "select table_schema || '.' || table_name from information_schema.tables where table_schema in ('raw', 'meta')")
    return [table for (table,) in tables if any(word in str(ask(workspace, f"from {table}")) for word in words)]


def test_the_same_user_is_always_the_same_pseudonym(workspace, ask):
    made = workspace(MAPPED, {"landing/a.csv": rows(ALICE, "bob-the-builder", f" {ALICE} ", ""), "landing/b.csv": rows(ALICE)})
    assert load(made) == [([], 5, 0)]
    found = ask(made, "select file_name, user_id from raw.requests order by file_name, file_row")
    alice, bob = keyed(made, ALICE), keyed(made, "bob-the-builder")
    assert [user for _, user in found] == [alice, bob, alice, None, alice]
    assert holds(made, ask, ALICE, "bob-the-builder") == []
    # once more, from what was kept
    (made.root / "landing" / "c.csv").write_text(rows(ALICE, "carol-carol"))
    assert load(made) == [([], 2, 0)]
    assert ask(made, "select count(distinct user_id), count(*) filter (user_id = '" + alice + "') from raw.requests") == [(3, 4)]


def test_ids_in_other_columns(workspace, ask):
    notes = json.dumps({"mail": f"to {ALICE}!", "n": 1})
    made = workspace(MAPPED, {"landing/a.csv": rows(ALICE, note=notes), "landing/b.csv": rows("77", "12", note="12 apples, 77 pears")})
    assert load(made) == [([], 3, 0)]
    assert holds(made, ask, ALICE) == []
    others = [json.loads(other) for (other,) in ask(made, "select other_columns from raw.requests order by file_name, file_row")]
    assert [other["who"] for other in others] == [keyed(made, ALICE), keyed(made, "77"), keyed(made, "12")]
    # a short id is no part of a word
    assert others[2]["note"] == "12 apples, 77 pears"
    assert json.loads(others[0]["note"])["mail"] == f"to {keyed(made, ALICE)}!"


def test_whole_numbers_as_ids(workspace, ask):
    settings = MAPPED.replace("landing/*.csv", "landing/*.jsonl").replace(
        "{'note': note, 'who': who}::json::varchar", "to_json({'a': who})::varchar"
    )
    lines = [{"at": "2026-03-01T10:00:00Z", "id": "r", "who": 987654321, "tokens": 1, "ms": 1}] * 2
    made = workspace(settings, {"landing/a.jsonl": "\n".join(map(json.dumps, lines))})
    assert load(made) == [([], 2, 0)]
    assert ask(made, "select distinct user_id, other_columns from raw.requests") == [
        (keyed(made, "987654321"), json.dumps({"a": keyed(made, "987654321")}, separators=(",", ":")))
    ]
    assert holds(made, ask, "987654321") == []


def test_the_quarantine_names_nobody(workspace, ask):
    shifted = f"2026-03-01T10:00:00Z,r9,5,{ALICE},1.5,x\n"
    slow = f"2026-03-01T10:00:00Z,r7,{ALICE},5,-4.5,x\n"
    made = workspace(MAPPED, {"landing/a.csv": rows(*["bob-the-builder"] * 2) + shifted + slow})
    assert load(made) == [([], 2, 2)]
    assert holds(made, ask, ALICE) == []
    found = ask(made, "select file_row, column_name, value, reason from raw.quarantine order by 1")
    assert [(row, value) for row, _, value, _ in found] == [(3, None), (4, "-4.5")]
    assert [column for _, column, _, _ in found] == ["tokens", "latency_ms"]
    assert found[1][3] == "is negative"


def test_lines_that_cannot_be_read_name_nobody(workspace, ask):
    settings = "currency: USD\nsources:\n  - {name: llm, format: litellm_spend, path: landing/*.csv}\n"
    header = "request_id,call_type,startTime,endTime,end_user,spend\n"
    good = f"r1,acompletion,2026-03-01T10:00:00Z,2026-03-01T10:00:01Z,{ALICE},0.5\n"
    made = workspace(settings, {"landing/a.csv": header + good + good.strip() + f",{ALICE},more\n" + good})
    assert load(made) == [([], 2, 1)]
    assert holds(made, ask, ALICE) == []
    assert [row for row, _, _ in ask(made, "select file_row, value, reason from raw.quarantine where value is null")] == [2]


def test_readers_of_their_own_too(workspace, ask):
    settings = "currency: USD\nsources:\n  - {name: llm, format: litellm_spend, path: landing/*.jsonl}\n  - {name: traces, format: otel_genai, path: landing/*.otlp.json}\n  - {name: spans, format: otel_spans, path: landing/*.otlp.json}\n"
    call = {
        "request_id": "a", "call_type": "acompletion", "startTime": "2026-03-01T10:00:00Z", "endTime": "2026-03-01T10:00:01Z", "end_user": ALICE,
        "user": ALICE, "metadata": {"user_api_key_user_id": ALICE, "requester_metadata": {"who": ALICE}}, "request_tags": [f"by:{ALICE}"],
    }  # fmt: skip
    told = [{"key": key, "value": {"stringValue": ALICE}} for key in ("user.id", "enduser.id", "app.caller")]
    told.append({"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}})
    span = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "name": "chat",
        "startTimeUnixNano": "1772359200000000000",
        "endTimeUnixNano": "1772359201000000000",
    }
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span | {"attributes": told[:2] + told[3:]}]}]}]}
    lines = "\n".join([json.dumps(call), json.dumps(call | {"request_id": "b", "spend": ALICE}), json.dumps(call)[:120]])
    made = workspace(settings, {"landing/a.jsonl": lines, "landing/a.otlp.json": json.dumps(document)})
    assert load(made) == [([], 1, 2), ([], 1, 0), ([], 1, 0)]
    assert holds(made, ask, ALICE) == []
    assert ask(made, "select distinct user_id from raw.requests") == [(keyed(made, ALICE),)]


def test_the_key_is_the_workspaces_own_and_stays_out_of_everything(workspace, ask, capfd):
    made = workspace(MAPPED, {"landing/a.csv": rows(ALICE)})
    load(made)
    file = pseudonyms.key_file(made)
    key = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (file.parent / ".gitignore").read_text() == "*\n"
    assert len(key) == 64
    assert key not in "".join(capfd.readouterr())
    assert holds(made, ask, key, key[:32]) == []


def test_the_key_from_the_environment(workspace, ask, monkeypatch):
    made = workspace(MAPPED + "user_key_env: WHO_KEY\n", {"landing/a.csv": rows(ALICE)})
    ((failures, _, _),) = load(made)
    assert "the environment variable WHO_KEY (`user_key_env`): it must be set, to a secret of 16 characters or more" in failures[0]
    monkeypatch.setenv("WHO_KEY", "a secret of the organisation")
    assert load(made) == [([], 1, 0)]
    assert not pseudonyms.key_file(made).exists()
    wanted = hmac.new(b"a secret of the organisation", ALICE.encode(), hashlib.sha256).hexdigest()
    assert ask(made, "select user_id from raw.requests") == [(wanted,)]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file: file.unlink(), "is gone: without it the warehouse's users would become others"),
        (lambda file: file.write_text("0" * 64), "is not the key that the warehouse's users are pseudonymised with"),
        (lambda file: file.chmod(0o644), "may be read by others: `chmod 600` it"),
        (lambda file: file.write_text("short"), "has less than 16 characters"),
    ],
)
def test_another_key_loads_nothing(workspace, ask, harm, said):
    made = workspace(MAPPED, {"landing/a.csv": rows(ALICE)})
    load(made)
    harm(pseudonyms.key_file(made))
    (made.root / "landing" / "b.csv").write_text(rows("bob-the-builder"))
    ((failures, loaded, _),) = load(made)
    assert said in failures[0]
    assert loaded == 0
    assert ask(made, "select count(*) from raw.requests") == [(1,)]


def test_long_keys_are_hashed_first(workspace, ask, monkeypatch):
    made = workspace(MAPPED + "user_key_env: WHO_KEY\n", {"landing/a.csv": rows(ALICE)})
    monkeypatch.setenv("WHO_KEY", "k" * 200)
    load(Workspace.open(made.root))
    assert ask(made, "select user_id from raw.requests") == [(hmac.new(b"k" * 200, ALICE.encode(), hashlib.sha256).hexdigest(),)]
