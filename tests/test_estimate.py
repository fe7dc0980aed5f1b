"""What a job or prompt will cost: by hand on the sample month, and on price books with tiers, hours and other currencies."""

import json
import shutil
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest
from typer.testing import CliRunner

from tollbook import cli, pipeline
from tollbook.decisions import estimate
from tollbook.errors import TollbookError
from tollbook.workspace import Workspace


def quiet(_):
    """Say nothing."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample month, built; what would be published stands for what is."""
    from conftest import REPO

    root = tmp_path_factory.mktemp("estimates") / "workspace"
    shutil.copytree(REPO / "data" / "sample", root)
    workspace = Workspace.open(root)
    pipeline.load(workspace, tell=quiet)
    pipeline.build(workspace, tell=quiet)
    workspace.published.mkdir()
    shutil.copyfile(workspace.warehouse, workspace.published_db)
    return workspace


@pytest.fixture
def published(sample):
    with duckdb.connect(str(sample.published_db), read_only=True) as db:
        yield db


NOW = datetime(2026, 9, 15, 12)


def test_tokens_by_price_book_and_history(published):
    found = estimate.tokens(published, "lumen-large", 12_000, 800, 2_000, 1_000, at=NOW)
    book, history = found.parts
    # 10 M at 3.00, 2 M at 0.30, 0.8 M at 15.00
    assert book.range == estimate.Range(*[Decimal("42.6")] * 3)
    # in full 1,508.00 for 240 M tokens; 12.8 M tokens
    assert history.basis == "history" and round(history.range.expected, 6) == round(Decimal(1508) / 240 * Decimal("12.8"), 6)
    assert (found.basis, found.currency, found.missing) == ("both", "USD", [])
    # most days are 49.20 for 8 M tokens; from 14 to 21 September 4.00 more, for a VM that watches
    assert (found.whole.low, found.whole.expected) == (Decimal("42.6"), Decimal("42.6"))
    assert round(found.whole.high, 6) == round(Decimal("53.20") / 8 * Decimal("12.8"), 6)
    assert found.facts["history_days"] == 30


def test_an_own_model_has_history_and_no_price(published):
    found = estimate.tokens(published, "falcon-7b", 1_000_000, 0, requests=2, at=NOW)
    assert found.parts[0].range == estimate.Range.unknown()
    assert found.missing == ["the price book has no price of input tokens of falcon-7b on 2026-09-15"]
    # 5,251.20 in full for 1,440 M tokens of the month
    assert found.basis == "history" and round(found.whole.expected, 6) == round(Decimal("5251.20") / 1440 * 2, 6)
    assert found.whole.low <= found.whole.expected <= found.whole.high


def test_a_model_that_nothing_prices_is_no_estimate_and_not_zero(published):
    found = estimate.tokens(published, "nova-mini", 10, 10, at=NOW)
    assert (found.basis, found.whole) == ("none", estimate.Range.unknown())
    assert found.missing[-1] == "no cost of nova-mini is published in the last 30 days: its tokens are unpriced"
    assert found.fault.startswith("no estimate: ")


def test_a_job_by_the_days_of_its_pool(published):
    found = estimate.job(published, Decimal(8), "H100", Decimal(12))
    # 3.00 a GPU-hour every day
    assert found.whole == estimate.Range(*[Decimal("288")] * 3)
    assert (found.basis, found.facts["cost_per_gpu_hour"]) == ("history", "3.000000000000")
    # 17,280.00 for the 3,504 GPU-hours held of 5,760
    assert Decimal(found.facts["cost_per_held_gpu_hour"]) == Decimal("4.931506849315")
    by_pool = estimate.job(published, Decimal("0.5"), hours=Decimal(2), pool="l40s")
    assert by_pool.whole.expected == Decimal("0.80")


def test_a_job_as_jobs_like_it_went(published):
    # 101 hours do not matter: the first try of tune-a failed after 12, the second succeeded in 36
    found = estimate.job(published, Decimal(4), "L40S", like="tune-A")
    assert found.facts["attempts"] == 2
    assert found.facts["failure_rate"] == 0.5
    assert found.facts["median_hours_of_success"] == 36
    # 0.80 x 4 x 36 once; with the 12 hours of the failed one, 48 / 36 of it
    assert (found.whole.low, found.whole.expected, found.whole.high) == (Decimal("115.2"), Decimal("153.6"), Decimal("153.6"))
    hours_given = estimate.job(published, Decimal(4), "L40S", Decimal(3), like="tune-a")
    assert (hours_given.whole.low, hours_given.whole.expected) == (Decimal("9.6"), Decimal("12.8"))
    never = estimate.job(published, Decimal(4), "L40S", like="no-such-job")
    assert never.whole == estimate.Range.unknown()
    assert "no job like 'no-such-job' is published" in never.missing


def test_the_command_line_says_basis_currency_and_what_is_missing(sample):
    def run(*arguments):
        return CliRunner().invoke(cli.app, ["estimate", *arguments, "--workspace", str(sample.root)])

    told = run(
        "tokens", "--model", "lumen-large", "--input-tokens", "12000", "--cached-input-tokens", "2000", "--output-tokens", "800",
        "--requests", "1000", "--at", "2026-09-15", "--format", "json",
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert (document["expected"], document["currency_code"], document["basis"]) == ("42.600000000000", "USD", "both")
    unknown = run("tokens", "--model", "nova-mini", "--input-tokens", "10", "--output-tokens", "1", "--format", "json")
    assert isinstance(unknown.exception, TollbookError)
    assert json.loads(unknown.stdout)["expected"] is None
    shown = run("job", "--gpus", "8", "--gpu-model", "H100", "--hours", "12")
    assert shown.exit_code == 0
    assert "288.00" in shown.stdout and "USD" in shown.stdout
    refused = run("job", "--gpus", "many", "--pool", "h100", "--hours", "1")
    assert str(refused.exception) == "--gpus should be a number, not 'many'."


PRICE = {"book": "config", "book_priority": -1, "provider_name": "V", "sku": None, "region": None, "service_tier": None, "quantity_from": 0}
PRICE |= {
    "unit": "million tokens",
    "price_currency": "USD",
    "currency_code": "USD",
    "exchange_rate": 1,
    "valid_from": None,
    "valid_to": None,
}
HOUR = 3_600_000_000


@pytest.fixture
def books():
    """A published file of prices alone."""
    rows = [
        ("tiers", "input", 3, {}), ("tiers", "input", 6, {"quantity_from": 200_001}), ("tiers", "input", 1, {"service_tier": "batch"}),
        ("tiers", "input", 4, {"region": "eu"}), ("tiers", "input", 9, {"valid_to": "2026-09-01"}),
        ("night", "input", 4, {}), ("night", "input", 1, {"day_from_microseconds": 22 * HOUR, "day_to_microseconds": 6 * HOUR}),
        ("named-*", "input", 5, {}), ("named-x", "input", 7, {}), ("named-x", "input", 8, {"book": "list", "book_priority": 5}),
        ("yen", "input", None, {"price_currency": "JPY", "exchange_rate": None}),
        ("two", "input", 1, {}), ("two", "input", 2, {"provider_name": "W"}),
        ("fee", "input", 1, {}), ("fee", "request", 10_000, {"unit": "million requests"}),
    ]  # fmt: skip
    with duckdb.connect() as db:
        db.execute("create schema finance; create schema product")
        db.execute(
            "create table finance.dim_prices (book varchar, book_priority integer, price_row bigint, provider_name varchar, model varchar,"
            " sku varchar, region varchar, service_tier varchar, price_kind varchar, quantity_from decimal(38, 20), unit varchar,"
            " unit_price decimal(38, 12), reporting_unit_price decimal(38, 12), price_currency varchar, currency_code varchar,"
            " exchange_rate decimal(38, 20), valid_from timestamp, valid_to timestamp, day_from_microseconds bigint, day_to_microseconds bigint)"
        )
        db.execute("create table finance.fct_chargeback (currency_code varchar)")
        db.execute(
            "create table product.fct_token_costs (usage_date date, provider_name varchar, model varchar, token_count bigint,"
            " full_cost decimal(38, 12), basis varchar)"
        )
        for number, (model, kind, price, more) in enumerate(rows):
            row = (
                PRICE | {"price_row": number, "model": model, "price_kind": kind, "unit_price": price, "reporting_unit_price": price} | more
            )
            db.execute(f"insert into finance.dim_prices ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values()))
        yield db


@pytest.mark.parametrize(
    ("model", "more", "expected"),
    [
        ("tiers", {}, 3),
        ("tiers", {"tier": "Batch"}, 1),
        ("tiers", {"region": "EU"}, 4),
        ("tiers", {"tier": "flex"}, None),
        ("named-y", {}, 5),
        ("NAMED-x", {}, 7),
        ("two", {"provider": "w"}, 2),
        ("yen", {}, None),
        ("night", {"at": datetime(2026, 9, 15, 23)}, 1),
    ],
)
def test_which_price_is_taken(books, model, more, expected):
    found = estimate.tokens(books, model, 100_000, 0, requests=10, **({"at": NOW} | more))
    assert found.whole.expected == (None if expected is None else Decimal(expected))


def test_tiers_hours_fees_and_what_cannot_be_told(books):
    # the whole request at the tier its length reaches
    assert estimate.tokens(books, "tiers", 200_001, 0, at=NOW).whole.expected == Decimal("1.200006")
    assert estimate.tokens(books, "tiers", 200_000, 0, at=NOW).whole.expected == Decimal("0.6")
    night = estimate.tokens(books, "night", 1_000_000, 0, at=NOW).whole
    assert (night.low, night.expected, night.high) == (1, 4, 4)
    # a cent a call
    assert estimate.tokens(books, "fee", 1_000, 0, requests=100, at=NOW).whole.expected == Decimal("1.1")
    assert "no exchange rate from JPY for the price of input tokens" in estimate.tokens(books, "yen", 1, 0, at=NOW).missing
    # only the kinds that are used need a price
    assert (
        estimate.tokens(books, "tiers", 10, 1, at=NOW).missing[0] == "the price book has no price of output tokens of tiers on 2026-09-15"
    )
    with pytest.raises(TollbookError, match="of V, W: name one with --provider"):
        estimate.tokens(books, "two", 1, 0, at=NOW)
    with pytest.raises(TollbookError, match="they cannot be more"):
        estimate.tokens(books, "tiers", 1, 0, 2, at=NOW)
