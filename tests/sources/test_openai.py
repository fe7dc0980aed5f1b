"""OpenAI's costs and usage in the forms they are delivered in, through the loader, to the last digit."""

import gzip
import json
from datetime import datetime
from decimal import Decimal

import pytest

from tollbook import pipeline

DAY = 1788220800  # 1 September 2026, 00:00 UTC
COSTS = "currency: EUR\nsources:\n  - {name: openai, format: openai_costs, path: landing/*}\n"
USAGE = "currency: EUR\nsources:\n  - {name: openai, format: openai_usage, path: landing/*}\n"


def cost(value, item="gpt-4o-2024-08-06, input", **more):
    """A result; the value is written as it is: a number with all its digits, or a text."""
    amount = f'{{"value": {value}, "currency": "usd"}}'
    fields = json.dumps({"object": "organization.costs.result", "line_item": item, "project_id": "proj_a"} | more)
    return fields[:-1] + f', "amount": {amount}}}'


def bucket(*results, day=0):
    start = DAY + day * 86400
    return f'{{"object": "bucket", "start_time": {start}, "end_time": {start + 86400}, "results": [{", ".join(results)}]}}'


def page(*buckets, more=False):
    return f'{{"object": "page", "data": [{", ".join(buckets)}], "has_more": {str(more).lower()}, "next_page": null}}'


@pytest.fixture
def load(workspace, ask):
    """Load one file; rows of the wanted columns (or the failure), and what is in quarantine."""

    def run(content, wanted="billed_cost", name="a.json", settings=COSTS):
        ws = workspace(settings, {f"landing/{name}": content})
        (report,) = pipeline.load(ws, tell=lambda _: None)
        if report.failures:
            return report.failures[0], None
        rows = ask(ws, f"select {wanted} from raw.{report.table} order by file_row")
        return rows, ask(ws, "select file_row, column_name, value, reason from raw.quarantine order by file_row")

    return run


def amounts(rows):
    return [row[0] for row in rows]


# more digits than a binary float has; 0.1 and 0.2 do not add up to 0.3 in one
FIRST, SECOND = bucket(cost("0.12345678901234567891"), cost('"0.2"')), bucket(cost("0.1"), cost("1e-7"), day=1)
EXACT = [Decimal("0.12345678901234567891"), Decimal("0.2"), Decimal("0.1"), Decimal("0.0000001")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.json", page(FIRST, SECOND)),
        ("indented.json", page(FIRST, SECOND).replace("{", "{\n  ")),
        ("with_mark.json", "\ufeff" + page(FIRST, SECOND)),
        ("pages.json", f"[{page(FIRST, more=True)},\n{page(SECOND)}]"),
        ("buckets.json", f"[{FIRST}, {SECOND}]"),
        ("pages.jsonl", page(FIRST, more=True) + "\n" + page(SECOND) + "\n"),
        ("buckets.jsonl", FIRST + "\r\n" + SECOND),
        ("strange [1]*.ndjson", FIRST + "\n\n" + SECOND),
        ("pages.jsonl.gz", gzip.compress((page(FIRST) + "\n" + page(SECOND)).encode())),
        ("older.json", page(FIRST, SECOND).replace('"results"', '"result"')),
    ],
)
def test_a_page_in_any_wrapping_is_exact(load, name, content):
    rows, quarantine = load(content, name=name)
    assert (amounts(rows), quarantine) == (EXACT, [])


def test_a_line_has_what_the_report_states_and_says_what_it_does_not(load):
    result = cost("1.5", "priority | gpt-5.6-sol, cached input, long context", organization_id="org-a", quantity=12000, api_key_id="key_1")
    columns = (
        "charge_period_start, charge_period_end, billing_period_start, billing_period_end, charge_category, billed_cost, effective_cost,"
        " effective_cost_origin, list_cost, contracted_cost, billing_currency, currency_origin, provider_name, invoice_issuer_name,"
        " billing_account_id, sub_account_id, consumed_quantity, consumed_unit, other_columns"
    )
    rows, _ = load(page(bucket(result)), columns)
    assert rows == [
        (
            datetime(2026, 9, 1), datetime(2026, 9, 2), datetime(2026, 9, 1), datetime(2026, 10, 1), "Usage", Decimal("1.5"), Decimal("1.5"),
            "no commitment: as billed", None, None, "USD", "delivered", "OpenAI", "OpenAI", "org-a", "proj_a", 12000, "Tokens",
            '{"api_key_id":"key_1"}',
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "details"),
    [
        ("gpt-4o-2024-08-06, input", {"ModelId": "gpt-4o-2024-08-06", "TokenType": "input"}),
        ("gpt-5-mini-2025-08-07, cached input", {"ModelId": "gpt-5-mini-2025-08-07", "TokenType": "cached_input"}),
        ("gpt-image-1 text, cached input", {"ModelId": "gpt-image-1", "TokenType": "cached_input"}),
        ("gpt-image-1 image, output", {"ModelId": "gpt-image-1", "TokenType": "image_output"}),
        ("gpt-audio-mini-2025-12-15 audio, input", {"ModelId": "gpt-audio-mini-2025-12-15", "TokenType": "audio_input"}),
        ("GPT-4o mini, audio output (batch)", {"ModelId": "GPT-4o mini", "TokenType": "audio_output", "ServiceTier": "batch"}),
        (
            "priority | gpt-5.6-sol, output, long context",
            {"ModelId": "gpt-5.6-sol", "TokenType": "output", "ServiceTier": "priority", "ContextTier": "long"},
        ),
        ("dall-e 3, standard, 1024x1792", {"ModelId": "dall-e 3"}),
        ("whisper-1, audio", {"ModelId": "whisper-1"}),
        ("text-embedding-3-small", {"ModelId": "text-embedding-3-small"}),
        ("GPT-4o mini", {"ModelId": "GPT-4o mini"}),
        ("assistants api | file search", None),
        ("web search tool calls", None),
        ("Vector storage", None),
        (None, None),
    ],
)
def test_the_line_item_names_model_and_token_type(load, item, details):
    ((found,),), _ = load(page(bucket(cost("1", item))), "sku_price_details")
    assert (json.loads(found) if found else None) == details


def test_a_repeated_page_counts_once_and_equal_results_of_a_bucket_all_count(load):
    twin = bucket(cost("1"), cost("1"))
    indented = page(twin).replace("{", "{\n  ").replace(": ", ":   ")
    rows, _ = load("\n".join([page(twin), page(twin, bucket(cost("4"), day=1)), twin, indented]), "file_row, billed_cost")
    assert rows == [(1, 1), (2, 1), (5, 4)]


def test_a_bucket_told_twice_with_different_amounts_is_refused(load):
    failure, _ = load(page(bucket(cost("1"))) + "\n" + page(bucket(cost("2"))), name="a.jsonl")
    assert "a.jsonl: the bucket that starts at 2026-09-01 00:00:00+00 comes more than once" in failure


def test_a_bucket_on_two_pages_is_one(load):
    rows, _ = load(page(bucket(cost("1", "gpt-5, input"))) + page(bucket(cost("2", "gpt-5, output"))))
    assert amounts(rows) == [1, 2]


def test_empty_buckets_and_zeros_are_fine(load):
    rows, quarantine = load(page(bucket(), bucket(cost("0"), day=1), bucket(cost("0.0000000000"), day=2), bucket(day=3)))
    assert (amounts(rows), quarantine) == ([0, 0], [])


def test_bad_values_are_quarantined_with_their_number(load):
    broken = bucket(cost("9"), day=2).replace(str(DAY + 2 * 86400), '"yesterday"')
    no_amount = '{"object": "organization.costs.result", "line_item": "x", "amount": null}'
    rows, quarantine = load(page(bucket(cost('"12 dollars"'), cost("3"), no_amount), broken) + '{"error": {"message": "no"}}')
    assert amounts(rows) == [3]
    assert quarantine == [
        (1, "billed_cost", "12 dollars", "is not a number"),
        (3, "billed_cost", None, "is missing"),
        (3, "results", '{"error": {"message": "no"}}', "is an error that the API answered"),
        (4, "charge_period_start", "yesterday", "is not a time"),
    ]


def test_a_page_cut_off_is_refused(load):
    whole = page(FIRST, SECOND)
    failure, _ = load(page(FIRST) + "\n" + whole[:200], name="a.jsonl")
    assert "a.jsonl cannot be read; it may be cut off or damaged" in failure


def test_numbers_within_texts_stay_texts(load):
    ((item,),), _ = load(page(bucket(cost("1", 'say "value": 1.50 or "x":2'))), "charge_description")
    assert item == 'say "value": 1.50 or "x":2'


def test_a_result_without_a_currency_takes_the_workspace_s_and_says_so(load):
    rows, _ = load(page(bucket(cost("1"))).replace(', "currency": "usd"', ""), "billing_currency, currency_origin")
    assert rows == [("EUR", "assumed")]


def test_the_dashboards_export_is_the_same_flat(load):
    export = (
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id\n"
        f'{DAY},{DAY + 86400},2026-09-01T00:00:00+00:00,2026-09-02T00:00:00+00:00,0.8958740000000000,usd,"gpt-5, input",p,org-a\n'
        f"{DAY + 86400},{DAY + 172800},2026-09-02T00:00:00+00:00,2026-09-03T00:00:00+00:00,,,,,\n"
        f'{DAY},{DAY + 86400},2026-09-01T00:00:00+00:00,2026-09-02T00:00:00+00:00,0.8958740000000000,usd,"gpt-5, input",p,org-a\n'
    )
    rows, quarantine = load(export, "charge_period_start, billed_cost, billing_currency, billing_account_id, other_columns", "export.csv")
    assert rows == [(datetime(2026, 9, 1), Decimal("0.895874"), "USD", "org-a", None)] * 2
    assert quarantine == []


def usage(kind, **fields):
    return json.dumps({"object": f"organization.usage.{kind}.result", "project_id": "proj_a", "num_model_requests": 5} | fields)


def test_usage_counts_cached_input_as_part_of_input(load):
    tokens = {"input_tokens": 1000, "output_tokens": 500, "input_cached_tokens": 800, "input_audio_tokens": 30, "output_audio_tokens": 20}
    result = usage("completions", **tokens, model="gpt-5", api_key_id="key_1", user_id="user-1", batch=False, service_tier="default")
    columns = (
        "started_at, ended_at, provider, kind, project, api_key, user_name, model, service_tier, input_tokens, cached_input_tokens,"
        " output_tokens, input_audio_tokens, output_audio_tokens, request_count, quantity, other_columns"
    )
    rows, quarantine = load(page(bucket(result)), columns, settings=USAGE)
    assert quarantine == []
    assert rows == [
        (
            datetime(2026, 9, 1), datetime(2026, 9, 2), "OpenAI", "completions", "proj_a", "key_1", "user-1", "gpt-5", "standard",
            1000, 800, 500, 30, 20, 5, None, None,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"batch": True}, "batch"),
        ({"batch": True, "service_tier": "default"}, "batch"),
        ({"batch": False, "service_tier": "flex"}, "flex"),
        ({"batch": None, "service_tier": None}, None),
    ],
)
def test_a_batch_is_a_tier(load, fields, tier):
    rows, _ = load(page(bucket(usage("completions", input_tokens=1, output_tokens=1, **fields))), "service_tier", settings=USAGE)
    assert rows == [(tier,)]


def test_what_is_not_tokens_has_a_quantity_and_a_unit(load):
    results = [
        usage("images", images=4, size="1024x1024", source="image.generation"), usage("audio_speeches", characters=45),
        usage("audio_transcriptions", seconds=10), usage("vector_stores", usage_bytes=1024),
        usage("code_interpreter_sessions", num_sessions=1), usage("embeddings", input_tokens=16), usage("moderations", input_tokens=17),
    ]  # fmt: skip
    rows, _ = load(page(bucket(*results)), "kind, quantity, unit, input_tokens, other_columns", settings=USAGE)
    assert rows == [
        ("images", 4, "Images", None, '{"size":"1024x1024","source":"image.generation"}'), ("audio_speeches", 45, "Characters", None, None),
        ("audio_transcriptions", 10, "Seconds", None, None), ("vector_stores", 1024, "Bytes", None, None),
        ("code_interpreter_sessions", 1, "Sessions", None, None), ("embeddings", None, None, 16, None),
        ("moderations", None, None, 17, None),
    ]  # fmt: skip


def test_bad_counts_are_quarantined(load):
    results = [usage("completions", input_tokens="many", output_tokens=1), usage("completions", input_tokens=-1, output_tokens=1)]
    rows, quarantine = load(page(bucket(*results, usage("completions", input_tokens=2, output_tokens=1))), "input_tokens", settings=USAGE)
    assert rows == [(2,)]
    assert quarantine == [(1, "input_tokens", "many", "is not a whole number"), (2, "input_tokens", "-1", "is negative")]


def test_an_option_that_is_not_known_is_refused(load):
    failure, _ = load(page(), settings=COSTS.replace("/*}", "/*, options: {models: all}}"))
    assert "openai_costs has no option models; it knows pull" in failure
