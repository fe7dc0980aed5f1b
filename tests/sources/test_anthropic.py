"""Anthropic's cost and usage reports through the loader: cents become dollars to the last digit, tokens add up."""

import json
from datetime import datetime
from decimal import Decimal

import pytest

from tollbook import pipeline

COST = "currency: EUR\nsources:\n  - {name: claude, format: anthropic_cost, path: landing/*}\n"
USAGE = "currency: EUR\nsources:\n  - {name: claude, format: anthropic_usage, path: landing/*}\n"
TOKENS = {
    "amount": "123.78912", "context_window": "0-200k", "cost_type": "tokens", "currency": "USD", "inference_geo": "global",
    "description": "Claude Sonnet 4 Usage - Input Tokens", "model": "claude-sonnet-4-20250514", "service_tier": "standard",
    "token_type": "uncached_input_tokens", "workspace_id": "wrkspc_1",
}  # fmt: skip


def page(*results, day=1):
    bucket = {"starting_at": f"2026-09-{day:02d}T00:00:00Z", "ending_at": f"2026-09-{day + 1:02d}T00:00:00Z", "results": list(results)}
    return json.dumps({"data": [bucket], "has_more": False, "next_page": None})


@pytest.fixture
def load(workspace, ask):
    """Load one file; rows of the wanted columns (or the failure), and what is in quarantine."""

    def run(content, wanted, settings=COST):
        ws = workspace(settings, {"landing/a.jsonl": content})
        (report,) = pipeline.load(ws, tell=lambda _: None)
        if report.failures:
            return report.failures[0], None
        rows = ask(ws, f"select {wanted} from raw.{report.table} order by file_row")
        return rows, ask(ws, "select file_row, column_name, value, reason from raw.quarantine order by file_row")

    return run


@pytest.mark.parametrize(
    ("cents", "dollars"),
    [
        ("123.78912", "1.2378912"),
        ("0", "0"),
        ("1", "0.01"),
        ("-250.5", "-2.505"),
        (".5", "0.005"),
        ("5.", "0.05"),
        ("12345678901234.1234567890123456", "123456789012.341234567890123456"),
        ("0.000000000000000001", "0.00000000000000000001"),
        ("1.5e3", "15"),
        ("2E-5", "0.0000002"),
    ],
)
def test_cents_become_dollars_to_the_last_digit(load, cents, dollars):
    rows, quarantine = load(page(TOKENS | {"amount": cents}), "billed_cost, effective_cost")
    assert (rows, quarantine) == ([(Decimal(dollars), Decimal(dollars))], [])


def test_amounts_that_are_numbers_keep_their_digits(load):
    rows, _ = load(page(TOKENS | {"amount": "@"}).replace('"@"', "12.345678901234567891"), "billed_cost")
    assert rows == [(Decimal("0.12345678901234567891"),)]


def test_a_line_has_what_the_report_states_and_says_what_it_does_not(load):
    columns = (
        "charge_period_start, charge_period_end, billing_period_start, billing_period_end, charge_category, effective_cost_origin, list_cost,"
        " contracted_cost, billing_currency, currency_origin, provider_name, charge_description, sub_account_id, region_id, other_columns"
    )
    rows, _ = load(page(TOKENS), columns)
    assert rows == [
        (
            datetime(2026, 9, 1), datetime(2026, 9, 2), datetime(2026, 9, 1), datetime(2026, 10, 1), "Usage", "no commitment: as billed",
            None, None, "USD", "delivered", "Anthropic", "Claude Sonnet 4 Usage - Input Tokens", "wrkspc_1", "global",
            '{"cost_type":"tokens"}',
        )
    ]  # fmt: skip
    ((details,),), _ = load(page(TOKENS | {"amount": "2"}), "sku_price_details")
    assert json.loads(details) == {
        "ModelId": "claude-sonnet-4-20250514", "TokenType": "input", "ServiceTier": "standard", "ContextWindow": "0-200k",
        "InferenceGeo": "global",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("delivered", "kind"),
    [
        ("uncached_input_tokens", "input"),
        ("cache_read_input_tokens", "cached_input"),
        ("cache_creation.ephemeral_5m_input_tokens", "cache_write_5m"),
        ("cache_creation.ephemeral_1h_input_tokens", "cache_write_1h"),
        ("output_tokens", "output"),
        ("thought_tokens", "thought_tokens"),
    ],
)
def test_token_types_are_named_as_in_the_price_book(load, delivered, kind):
    rows, _ = load(page(TOKENS | {"token_type": delivered}), "sku_price_details->>'$.TokenType'")
    assert rows == [(kind,)]


def test_what_is_no_token_has_no_model(load):
    search = {"amount": "50", "currency": "USD", "cost_type": "web_search", "description": "Web Search Usage", "model": None}
    rows, _ = load(page(search), "billed_cost, sku_price_details, charge_description")
    assert rows == [(Decimal("0.5"), None, "Web Search Usage")]


def test_a_repeated_page_counts_once(load):
    rows, _ = load("\n".join([page(TOKENS), page(TOKENS), page(TOKENS, day=2)]), "file_row, billed_cost")
    assert rows == [(1, Decimal("1.2378912")), (3, Decimal("1.2378912"))]


def test_bad_values_and_other_currencies_are_quarantined(load):
    results = [TOKENS | {"amount": "n/a"}, TOKENS | {"currency": "JPY", "model": "m"}, TOKENS | {"amount": "7", "model": "o"}]
    rows, quarantine = load(page(*results), "billed_cost")
    assert rows == [(Decimal("0.07"),)]
    assert quarantine == [
        (1, "billed_cost", "n/a", "is not a number"),
        (2, "billing_currency", "JPY", "is not USD: how many of its smallest units make one is not known"),
    ]


USED = {
    "uncached_input_tokens": 1500, "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200, "output_tokens": 300, "server_tool_use": {"web_search_requests": 10}, "api_key_id": "apikey_1",
    "workspace_id": "wrkspc_1", "model": "claude-opus-4-6", "service_tier": "batch", "context_window": "0-200k",
    "inference_geo": "not_available",
}  # fmt: skip


def test_input_is_uncached_and_cached_and_never_what_was_written(load):
    columns = (
        "started_at, ended_at, provider, kind, project, api_key, model, service_tier, context_tier, region, input_tokens,"
        " cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, quantity, unit"
    )
    rows, quarantine = load(page(USED), columns, USAGE)
    assert quarantine == []
    assert rows == [
        (
            datetime(2026, 9, 1), datetime(2026, 9, 2), "Anthropic", "messages", "wrkspc_1", "apikey_1", "claude-opus-4-6", "batch",
            "0-200k", None, 1700, 200, 500, 1000, 300, 10, "Searches",
        )
    ]  # fmt: skip


def test_tokens_that_are_not_stated_are_not_zero(load):
    rows, _ = load(page({"output_tokens": 3}, {"uncached_input_tokens": 4, "model": "m"}), "input_tokens, cached_input_tokens", USAGE)
    assert rows == [(None, None), (4, None)]


def test_bad_counts_are_quarantined(load):
    rows, quarantine = load(page(USED | {"cache_read_input_tokens": "lots"}, USED | {"model": "m"}), "model", USAGE)
    assert rows == [("m",)]
    assert quarantine == [(1, "input_tokens", "lots", "is not a whole number")]
