"""What tokens cost by the price book: known answers, and what a book may say of kinds, tiers, hours, discounts and currencies.

One night over one log. Every model shows one rule; prices are per million tokens unless said, and each number is worked by hand.
"""

import csv
import io
import json
from decimal import Decimal

import pytest

from tests.workspaces import clean_night, write_workspace

SETTINGS = """
currency: USD
sources:
  - {name: gateway, table: requests, path: landing/gateway/*.csv}
  - {name: books, table: prices, path: landing/books/*.csv}
  # LiteLLM's prompt_tokens count what was written to the cache and what was read from it
  - name: litellm
    table: requests
    path: landing/litellm/*.jsonl
    select: |
      select startTime::timestamp as requested_at, id as request_id, 'V' as provider, model,
        usage.prompt_tokens - usage.cache_creation_input_tokens as input_tokens, usage.cache_read_input_tokens as cached_input_tokens,
        usage.cache_creation_input_tokens as cache_write_tokens, usage.completion_tokens as output_tokens,
        response_cost::decimal(38, 20) as logged_cost
      from delivery
"""
D = Decimal
NIGHT = "2026-09-01 05:00"


def table(rows):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def price(model, kind, amount, per=1_000_000, **more):
    return {
        "book": "list",
        "provider": "V",
        "model": model,
        "price_kind": kind,
        "price": amount,
        "per_quantity": per,
        "currency": "USD",
    } | more


def prices(model, per=1_000_000, **kinds):
    return [price(model, kind, amount, per) for kind, amount in kinds.items()]


def request(model, moment=NIGHT, **more):
    return {"requested_at": moment, "provider": "V", "model": model} | more


BOOK = [
    *prices("ka-14", input=3, cached_input="0.30", cache_write_5m="3.75", output=15),
    *prices("ka-15", input=3, cache_write_5m="3.75", output=15),
    *prices("ka-16", output=15),
    *prices("own-reasoning", output=15, reasoning=5),
    # the negotiated book names no price of its own for reasoning: it is output there, whatever the list says
    *prices("negotiated-reasoning", output=15, reasoning=5),
    price("negotiated-reasoning", "output", 12, book="negotiated"),
    *prices("ka-17", input=5, output=25),
    *prices("ka-19", output=15),
    *prices("ka-20", input=3, output=15),
    *prices("two-ttls", input=3, cache_write_5m="3.75", cache_write_1h=6, cached_input="0.30", output=15),
    *prices("one-ttl", input=3, cache_write_5m="3.75", output=15),
    *prices("audio", input="2.5", cached_input="1.25", input_audio=40, cached_input_audio="2.5", output=10, output_audio=80),
    *prices("no-cached-audio", input="2.5", cached_input="1.25", input_audio=40, output=10),
    *prices("images", input=5, input_image=10, output_image=40),
    *prices("by-the-image", per=1, image="0.04"),
    *prices("no-image-price", input=1),
    *prices("search", input=1, output=1), price("search", "search", 10, 1000),
    *prices("no-search-price", input=1, output=1),
    *prices("fee", input=1, output=1), price("fee", "request", 12, 1000),
    *prices("embed", embedding="0.02"),
    *prices("tiered", input=3, cached_input="0.30", cache_write_5m="3.75", output=15),
    *[row | {"quantity_from": 200_001} for row in prices("tiered", input=6, cached_input="0.60", cache_write_5m="7.50", output="22.50")],
    *prices("batch-row", input=4, output=8), price("batch-row", "input", 2, service_tier="batch"),
    price("batch-row", "output", 4, service_tier="batch"),
    *prices("batch-rate", input=4, cached_input="0.40", output=8), price("batch-rate", "share_of_standard", "0.5", 1, service_tier="batch"),
    price("batch-rate", "share_of_standard", "1.75", 1, service_tier="priority"),
    # the negotiated price is no price that the list's share may be taken of
    *prices("share-of-another", input=4), price("share-of-another", "share_of_standard", "0.5", 1, service_tier="batch"),
    price("share-of-another", "input", 3, book="negotiated"),
    *prices("geo", input=3), price("geo", "input", "3.3", region="us-only"),
    price("off-peak", "input", 2), price("off-peak", "input", 1, time_from="16:30", time_to="00:30"),
    price("noon", "output", 3, valid_to="2026-09-01 12:00"), price("noon", "output", 6, valid_from="2026-09-01 12:00"),
    price("credits", "input", 20, currency="CREDITS"), price("credits", "output", 100, currency="CREDITS"),
    price("tokens-of-another", "input", 20, currency="COINS"),
]  # fmt: skip

M = 1_000_000
LOG = [
    request("ka-14", input_tokens=8 * M + M // 2, cached_input_tokens=8 * M, cache_write_tokens=2 * M, output_tokens=3 * M // 2),
    request("ka-16", output_tokens=1578, reasoning_tokens=952),
    request("own-reasoning", output_tokens=1578, reasoning_tokens=952),
    request("negotiated-reasoning", output_tokens=1578, reasoning_tokens=952),
    request("ka-17", input_tokens=5 * M, output_tokens=3 * M // 2),
    request("ka-19", output_tokens=20),
    request("ka-20", input_tokens=10, cached_input_tokens=4, output_tokens=1),
    request("never-listed", input_tokens=7, output_tokens=3),
    request("two-ttls", input_tokens=1000, cached_input_tokens=400, cache_write_tokens=3000, cache_write_1h_tokens=1000, output_tokens=100),
    request("one-ttl", input_tokens=1000, cache_write_tokens=3000, cache_write_1h_tokens=1000),
    request("audio", input_tokens=1000, cached_input_tokens=300, cached_input_audio_tokens=200, input_audio_tokens=500, output_tokens=50,
            output_audio_tokens=40),
    request("no-cached-audio", input_tokens=1000, cached_input_tokens=300, cached_input_audio_tokens=200, input_audio_tokens=500,
            output_tokens=50, output_audio_tokens=40),
    request("images", input_tokens=300, input_image_tokens=258, output_tokens=1290, output_image_tokens=1290, image_count=1),
    request("by-the-image", image_count=3), request("no-image-price", input_tokens=10, image_count=2),
    request("search", input_tokens=100, output_tokens=100, search_count=3),
    request("no-search-price", input_tokens=100, output_tokens=100, search_count=3),
    request("fee", input_tokens=100, output_tokens=100), request("fee", input_tokens=0, output_tokens=0),
    request("embed", input_tokens=50_000, kind="embedding"),
    # each threshold counts all that was sent: uncached, read from the cache and written to it
    request("tiered", input_tokens=200_000, output_tokens=1000),
    request("tiered", input_tokens=150_000, cached_input_tokens=149_000, cache_write_tokens=50_000),
    request("tiered", input_tokens=150_000, cached_input_tokens=149_000, cache_write_tokens=50_001, output_tokens=1000),
    *(request("batch-row", tier=tier, input_tokens=1000, output_tokens=1000) for tier in ("batch", "standard", "flex")),
    *(request("batch-rate", tier=tier, input_tokens=1000, cached_input_tokens=500, output_tokens=1000) for tier in ("Batch", "priority", "")),
    request("share-of-another", tier="batch", input_tokens=1000),
    request("geo", input_tokens=1000, region="US-only"), request("geo", input_tokens=1000, region="eu"),
    *(request("off-peak", f"2026-09-01 {hour}", input_tokens=1000) for hour in ("00:29:59", "00:30", "16:29:59", "16:30", "23:59")),
    *(request("noon", f"2026-09-{moment}", output_tokens=1000) for moment in ("01 00:00", "01 11:59:59", "01 12:00", "02 00:00")),
    *(request("credits", f"2026-09-0{day} 05:00", input_tokens=1000, output_tokens=100) for day in (1, 2)),
    request("tokens-of-another", input_tokens=1000),
]  # fmt: skip

# litellm#9812: 3 input tokens, 12,304 written to the cache; what the gateway itself reckoned counts the written ones twice
LITELLM = {
    "id": "chatcmpl-1", "startTime": "2026-09-01T05:00:00", "model": "ka-15", "response_cost": "0.091311",
    "usage": {"prompt_tokens": 12_307, "completion_tokens": 550, "total_tokens": 12_857, "cache_creation_input_tokens": 12_304,
              "cache_read_input_tokens": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    root = tmp_path_factory.mktemp("tokens")
    files = {
        "landing/gateway/a.csv": table(LOG),
        "landing/books/a.csv": table(BOOK),
        "landing/litellm/a.jsonl": json.dumps(LITELLM) + "\n",
        "config/price_books.csv": "book,priority,valid_from,valid_to\nnegotiated,10,,\nlist,20,,\n",
        # a credit is worth a cent on the 1st and 1.2 cents on the 2nd; nothing says what a coin is worth
        "config/exchange_rates.csv": "from_currency,to_currency,rate,valid_from,valid_to\n"
        "CREDITS,USD,0.01,2026-09-01,2026-09-02\nCREDITS,USD,0.012,2026-09-02,\n",
    }
    return clean_night(write_workspace(root, SETTINGS, files))


@pytest.fixture(scope="module")
def costs(night):
    """By model: what it costs at list price, its two sides, what the cache saved, tokens and calls without a price."""
    with night.connect(read_only=True) as db:
        found = db.execute(
            "select model, case when count(*) = count(list_cost) then sum(list_cost) end, sum(list_input_cost), sum(list_output_cost),"
            " sum(cache_saving_cost), sum(unpriced_tokens)::int, sum(unpriced_calls)::int"
            " from intermediate.int_token_days__priced group by 1"
        ).fetchall()
    return {model: tuple(rest) for model, *rest in found}


@pytest.mark.parametrize(
    "model, cost",
    [
        ("ka-14", D("33.90")),  # 0.5 × 3 + 2 × 3.75 + 8 × 0.30 = 11.40, and 1.5 × 15 = 22.50
        ("ka-15", D("0.054399")),  # 3 × 3 + 12,304 × 3.75 + 550 × 15 = 54,399 millionths
        ("ka-16", D("0.02367")),  # 1,578 × 15, the 952 are part of them
        ("own-reasoning", D("0.01415")),  # 626 × 15 + 952 × 5 = 9,390 + 4,760
        ("negotiated-reasoning", D("0.018936")),  # 1,578 × 12
        ("ka-17", D("62.5")),  # 25.00 + 37.50
        ("ka-19", D("0.000300")),
        ("ka-20", None),
        ("never-listed", None),
        ("two-ttls", D("0.01692")),  # 600 × 3 + 400 × 0.30 + 2,000 × 3.75 + 1,000 × 6 + 100 × 15 = 1,800 + 120 + 7,500 + 6,000 + 1,500
        ("one-ttl", None),  # five minutes' price is not an hour's
        # 200 of text uncached (1,000 - 300 cached - 500 audio), 100 of text and 200 of audio cached, 10 of text and 40 of audio written:
        # 200 × 2.5 + 100 × 1.25 + 200 × 2.5 + 500 × 40 + 10 × 10 + 40 × 80 = 500 + 125 + 500 + 20,000 + 100 + 3,200
        ("audio", D("0.024425")),
        ("no-cached-audio", None),
        ("images", D("0.05439")),  # 42 × 5 + 258 × 10 + 1,290 × 40 = 210 + 2,580 + 51,600; the image made is paid by its tokens
        ("by-the-image", D("0.12")),  # 3 × 0.04
        ("no-image-price", None),
        ("search", D("0.0302")),  # 200 × 1 millionth, 3 × 10 thousandths
        ("no-search-price", None),
        ("fee", D("0.0242")),  # 200 millionths, and 2 × 12 thousandths
        ("embed", D("0.001")),  # 50,000 × 0.02
        # 200,000 × 3 + 1,000 × 15 = 615,000; 1,000 × 3 + 149,000 × 0.30 + 50,000 × 3.75 = 235,200;
        # one token more, and all of the request: 1,000 × 6 + 149,000 × 0.60 + 50,001 × 7.50 + 1,000 × 22.50 = 492,907.5
        ("tiered", D("0.615") + D("0.2352") + D("0.4929075")),
        ("batch-row", None),  # flex has no price
        # standard: 500 × 4 + 500 × 0.40 + 1,000 × 8 = 10,200; batch the half of each price, priority 1.75 times: 10,200 × 3.25
        ("batch-rate", D("0.03315")),
        ("share-of-another", D("0.002")),  # half of the list's 4; of the negotiated 3 the list can give no share
        ("geo", D("0.0063")),  # 3.3 + 3 thousandths
        ("off-peak", D("0.007")),  # 1 + 2 + 2 + 1 + 1
        ("noon", D("0.018")),  # 3 + 3 + 6 + 6
        # 1,000 × 20 + 100 × 100 = 30,000 millionths of a credit: 0.03 × 0.01 on the 1st, 0.03 × 0.012 on the 2nd
        ("credits", D("0.00066")),
        ("tokens-of-another", None),
    ],
)
def test_cost(costs, model, cost):
    assert costs[model][0] == cost


def test_each_side_is_known_where_its_own_kinds_are_priced(costs):
    assert costs["ka-14"][1:3] == (D("11.40"), D("22.50"))
    assert costs["ka-20"][1:3] == (None, D("0.000015"))
    assert costs["no-cached-audio"][1:3] == (None, None)
    assert costs["search"][1:3] == (D("0.0001"), D("0.0001"))  # calls are of neither side
    assert costs["one-ttl"][1:3] == (None, 0)


def test_what_the_cache_saved(costs):
    assert costs["ka-14"][3] == D("20.10")  # 31.50 without the cache, 11.40 with it
    # 400 × 2.70 saved; 2,000 × 0.75 and 1,000 × 3 paid for writing
    assert costs["two-ttls"][3] == D("0.00108") - D("0.0015") - D("0.003")
    assert costs["audio"][3] == D("0.000125") + D("0.0075")  # 100 × 1.25 and 200 × 37.50
    assert [costs[model][3] for model in ("ka-20", "one-ttl", "no-cached-audio")] == [None] * 3
    assert (costs["ka-16"][3], costs["never-listed"][3]) == (0, 0)  # no cache, nothing saved


def test_what_has_no_price_is_counted_by_kind(night, costs):
    with night.connect(read_only=True) as db:
        counted = db.execute(
            "select model, price_kind, sum(quantity)::int from quality.fct_unpriced_usage group by all order by all"
        ).fetchall()
    assert counted == [
        ("batch-row", "input", 1000),
        ("batch-row", "output", 1000),
        ("ka-20", "cached_input", 4),
        ("never-listed", "input", 7),
        ("never-listed", "output", 3),
        ("no-cached-audio", "cached_input_audio", 200),
        ("no-cached-audio", "output_audio", 40),
        ("no-image-price", "image", 2),
        ("no-search-price", "search", 3),
        ("one-ttl", "cache_write_1h", 1000),
        ("tokens-of-another", "input", 1000),
    ]
    assert sum(cost[4] for cost in costs.values()) == 4 + 10 + 240 + 1000 + 2000 + 1000
    assert sum(cost[5] for cost in costs.values()) == 2 + 3


def test_the_gateways_own_reckoning_is_kept_and_not_charged(night):
    with night.connect(read_only=True) as db:
        assert db.execute("select logged_cost, input_tokens, cache_write_tokens from raw.requests where model = 'ka-15'").fetchall() == [
            (D("0.091311"), 3, 12_304)
        ]
        assert db.execute("select vendor_cost, basis from product.fct_token_costs where model = 'ka-15'").fetchall() == [
            (D("0.054399"), "estimated")
        ]
